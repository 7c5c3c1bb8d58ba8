"""Train the face detector: every face of a scene, in every condition.

    python -m pretraining.detector.train --data_dir data/Task_B/train --heads heads.parquet --detector_model yunet.onnx

Scenes are composed of FACECOM's photos, tables of heads and drawn people (`scenes.py`); the landmarks are YuNet's on
the clean photo. Writes `run_dir/{last.pt,log.csv}` and the averaged weights to `--output`, every `--every` steps.
`--resume` goes on from `last.pt`; every tenth identity of FACECOM is held back.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from facecom import cli
from facecom.conditions.impulses import without_impulses
from facecom.faces.detect import sides_of, turns_of
from facecom.faces.yunet import open_detector
from facecom.models import checkpoint
from facecom.models.detector import FaceDetector, cells
from pretraining.detector.scenes import SCENE, Source, compose, worsen
from pretraining.finder.train import optimizer_of, running_mean, write_log
from pretraining.photos import Photo, drawn_photos, drawn_scenes, facecom_photos, head_photos
from pretraining.provenance import write_provenance

PREPROCESSING = {"size": SCENE, "mean": [0.5] * 3, "std": [0.5] * 3, "align": "off", "colour": "RGB"}

#: The network that is trained.
CONFIG = {"turns": 4}

#: Settings that say where things lie and run, not how the network was made.
OF_THE_MACHINE = ("data_dir", "heads", "detector_model", "run_dir", "output", "init", "resume", "threads", "workers")

#: The sides of faces that each map answers for, pixels; where two do, both learn it.
LEVELS = {8: (0.0, 44.0), 16: (32.0, 100.0), 32: (76.0, 1e9)}

#: A cell is right when it is nearer to the face's middle than so many of its strides or sides; between that and the
#: last, it is neither right nor wrong.
NEAR_STRIDES, NEAR_SIDES, UNSURE_SIDES = 0.71, 0.15, 0.35

#: Smaller faces than this are neither right nor wrong.
LEAST = 9.0


class Scenes(torch.utils.data.Dataset):
    """Scene number -> (image uint8 [S, S, 3], landmarks float32 [MOST, 5, 2], NaN behind the last face, and which of
    them are surely faces, bool [MOST]). The same seed and number give the same scene."""

    MOST = 24

    def __init__(self, photos: list[Source], scenes: list[np.ndarray], length: int, seed: int = 0):
        self.photos, self.scenes, self.length, self.seed = photos, scenes, length, seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        cv2.setNumThreads(0)
        rng = np.random.default_rng([self.seed, number])
        scene = compose(rng, self.photos, self.scenes)
        image = worsen(rng, scene.image)
        image = without_impulses(image) if rng.random() < 0.8 else image
        landmarks = np.full((self.MOST, 5, 2), np.nan, np.float32)
        landmarks[: len(scene.landmarks)] = scene.landmarks[: self.MOST]
        known = np.zeros(self.MOST, bool)
        known[: len(scene.known)] = scene.known[: self.MOST]
        return image, landmarks, known


def targets(landmarks: torch.Tensor, known: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(which face each cell is of, int64 [B, N]: -1 none, -2 neither right nor wrong; the faces' sides [B, M]).

    landmarks: float [B, M, 5, 2], NaN where there is no face; known: bool [B, M], False where nobody is sure of the
    face; size: of the scene.
    """
    centres, strides = cells(size, size)
    sides = torch.from_numpy(sides_of(landmarks.numpy())).float()
    distance = (centres[None, :, None] - landmarks.mean(2)[:, None]).norm(dim=3)  # [B, N, M], NaN without a face
    distance = distance.nan_to_num(1e9)
    side = sides.nan_to_num(0.0)[:, None]
    low = torch.tensor([LEVELS[int(s)][0] for s in strides])[None, :, None]
    high = torch.tensor([LEVELS[int(s)][1] for s in strides])[None, :, None]
    answers = (side >= low) & (side < high) & (side >= LEAST) & known[:, None]
    near = answers & (distance <= torch.maximum(NEAR_STRIDES * strides[None, :, None], NEAR_SIDES * side))
    unsure = distance <= torch.maximum(UNSURE_SIDES * side, 0.5 * strides[None, :, None] * (side < LEAST))
    nearest = torch.where(near, distance, 1e9).min(2)
    face = torch.where(unsure.any(2) & (side > 0).any(2), -2, -1)
    return torch.where(nearest.values < 1e8, nearest.indices, face), sides


def loss_of(
    logits: torch.Tensor,
    turns: torch.Tensor,
    found: torch.Tensor,
    landmarks: torch.Tensor,
    known: torch.Tensor,
    size: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """(loss of scores, loss of turns, loss of landmarks, mean landmark distance as a share of the eye distance),
    scalars.

    logits [B, N], turns [B, N, T], found [B, N, T, 5, 2]: the network's (`FaceDetector.each_turn`); landmarks
    [B, M, 5, 2], known [B, M]: the truth, as for `targets`. Scores: focal loss with gamma 2 and alpha .5 (Lin et al.,
    ICCV 2017) over the number of right cells; turns: cross-entropy; landmarks: mean distance over the face's side, of
    those for the true turn alone.
    """
    face, sides = targets(landmarks, known, size)
    right, counted = face >= 0, face > -2
    target = right.float()
    p = logits.sigmoid()
    focal = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * (target - p).abs() ** 2
    score = focal[counted].sum() / right.sum().clamp(min=1)
    batch, _ = right.nonzero(as_tuple=True)
    whose = face[right]
    truth, side = landmarks[batch, whose], sides[batch, whose]
    if not len(side):
        return score, turns.sum() * 0, found.sum() * 0, torch.tensor(torch.nan)
    turn = torch.from_numpy(turns_of(truth.numpy()) // 90) % turns.shape[2]
    distance = (found[right][torch.arange(len(turn)), turn] - truth).norm(dim=2).mean(1)
    eyes = (truth[:, 1] - truth[:, 0]).norm(dim=1)
    return score, F.cross_entropy(turns[right], turn), (distance / side).mean(), (distance / eyes).mean().detach()


def all_faces(photo: Photo, detector, least: float = 0.7, doubtful: float = 0.3) -> Source:
    """The photo with the landmarks of its main face, of the others that YuNet is sure of, and of what may be one."""
    detector.setScoreThreshold(doubtful)
    detector.setInputSize((photo.image.shape[1], photo.image.shape[0]))
    faces = detector.detect(np.ascontiguousarray(photo.image[:, :, ::-1]))[1]
    found, sure = [photo.landmarks], [True]
    for face in [] if faces is None else faces:
        points, side = face[4:14].reshape(5, 2), sides_of(photo.landmarks[None])[0]
        if np.linalg.norm(points.mean(0) - photo.landmarks.mean(0)) > 0.5 * side:
            found.append(points.astype(np.float32))
            sure.append(bool(face[14] >= least))
    return Source(photo.image, np.stack(found), np.array(sure))


def load_photos(args) -> tuple[list[Source], list[np.ndarray]]:
    """(photos to compose of, pictures without a face); every tenth identity of FACECOM is held back."""
    people = facecom_photos(Path(args.data_dir), args.detector_model)
    learned = [photo for number, name in enumerate(people) if number % 10 for photo in people[name]]
    learned += [photo for table in args.heads for photo in head_photos(Path(table))]
    learned += drawn_photos(args.drawn)
    detector = open_detector(args.detector_model)
    return [all_faces(photo, detector) for photo in learned], drawn_scenes(args.drawn)


def main(args):
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    run_dir = Path(args.run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    model = FaceDetector(**CONFIG).to(memory_format=torch.channels_last)
    if args.init:
        start_from(model, checkpoint.load(args.init, "detector").model)
    averaged = AveragedModel(model, avg_fn=running_mean(args.average), use_buffers=True)
    optimizer, schedule = optimizer_of(model, args, args.steps)
    parts = {"model": model, "averaged": averaged, "optimizer": optimizer, "schedule": schedule}
    step = 0
    if args.resume:
        saved = torch.load(run_dir / "last.pt", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        step = saved["step"]
    photos, scenes = load_photos(args)
    print(f"{len(photos)} photos, {sum(len(photo.landmarks) for photo in photos)} faces", flush=True)
    data = Scenes(photos, scenes, args.steps * args.batch_size, args.seed)
    rest = torch.utils.data.Subset(data, range(step * args.batch_size, len(data)))
    totals, start = [], time.perf_counter()
    for made in torch.utils.data.DataLoader(rest, args.batch_size, num_workers=args.workers):
        totals.append(train_step(model, averaged, optimizer, schedule, made, args.amp))
        step += 1
        if step % args.every == 0 or step == args.steps:
            means = dict(zip(("score", "turn", "place", "error"), np.mean(totals, 0), strict=True))
            row = {"step": step, "seconds": round(time.perf_counter() - start)} | means
            row = {name: value if isinstance(value, int) else round(float(value), 4) for name, value in row.items()}
            keep(args, run_dir, parts, averaged.module, row, len(photos))
            totals = []


def start_from(model: FaceDetector, learned) -> None:
    """Give the network another's weights; from one that does not tell turns, each turn gets what that one says."""
    state = learned.state_dict()
    if learned.turns < model.turns:
        for name in ("place.2.weight", "place.2.bias"):
            state[name] = state[name].repeat(model.turns, *[1] * (state[name].ndim - 1))
        for name in ("score.2.weight", "score.2.bias"):
            state[name] = torch.cat([state[name], torch.zeros_like(model.state_dict()[name][1:])])
    model.load_state_dict(state)


def train_step(model, averaged, optimizer, schedule, made: list[torch.Tensor], amp: bool) -> tuple[float, ...]:
    """One step; (loss of scores, of turns, of landmarks, error). Raises FloatingPointError when a loss is no number."""
    images, landmarks, known = made
    model.train()
    x = (images.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=amp):
        found = model.each_turn(x)
    score, turn, place, error = loss_of(*found, landmarks, known, images.shape[1])
    loss = score + 0.2 * turn + 2 * place
    if not torch.isfinite(loss):
        raise FloatingPointError("the loss is no number any more: lower --lr")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    schedule.step()
    averaged.update_parameters(model)
    return score.item(), turn.item(), place.item(), error.nan_to_num(0).item()


def keep(args, run_dir: Path, parts: dict, model, row: dict, photos: int) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    checkpoint.write(state | {"step": row["step"]}, run_dir / "last.pt")
    write_log(run_dir / "log.csv", row)
    recipe = {name: value for name, value in vars(args).items() if name not in OF_THE_MACHINE}
    checkpoint.save(
        args.output, task="detector", model=model, config=CONFIG, preprocessing=PREPROCESSING, args=recipe,
        epoch=row["step"], metrics=row, data={"photos": photos}, half=True,
    )  # fmt: skip
    write_provenance(Path(args.output), ("facecom", "heads", "landmarks", "drawings"),
                     "python -m pretraining.detector.train", {})  # fmt: skip


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    data = parser.add_argument_group("data")
    data.add_argument("--data_dir", required=True, help="folder of identity folders, as FACECOM's Task B")
    data.add_argument("--heads", nargs="*", default=[], help="parquet tables of head photos with landmarks")
    data.add_argument("--detector_model", required=True, help="YuNet ONNX file: gives the targets")
    data.add_argument("--drawn", type=int, default=300, help="drawn people, and as many drawn scenes")
    recipe = parser.add_argument_group("recipe")
    recipe.add_argument("--steps", type=int, default=6000)
    recipe.add_argument("--batch_size", type=int, default=16, help="scenes")
    recipe.add_argument("--lr", type=float, default=2e-3)
    recipe.add_argument("--weight_decay", type=float, default=0.01)
    recipe.add_argument("--average", type=float, default=0.998, help="decay of the running mean of the weights")
    recipe.add_argument("--seed", type=int, default=0)
    run = parser.add_argument_group("run")
    run.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True, help="bfloat16")
    run.add_argument("--threads", type=int, default=torch.get_num_threads())
    run.add_argument("--workers", type=int, default=1)
    run.add_argument("--every", type=int, default=250, help="steps between two savings")
    run.add_argument("--run_dir", default="runs/detector")
    run.add_argument("--output", default=str(checkpoint.SHIPPED / "detector.pt"))
    run.add_argument("--init", help="detector weights to start from")
    run.add_argument("--resume", action="store_true", help="go on from run_dir/last.pt")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
