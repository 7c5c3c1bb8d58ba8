"""How fast, and in how much memory: photos a second from files to answers, and of each step on the way.

python benchmarks/speed.py --img_dir data/Task_B/val      # -> results/speed.csv
python benchmarks/speed.py                                # on drawn people
python benchmarks/speed.py --img_dir data/Task_B/val --edgeface edgeface_xs_q.pt --onnx mobilefacenet.onnx

A row a measurement: `measurement,device,threads,photos,photos_per_second,peak_memory_mb`. Each runs in a process of its
own, so that its memory is its own. The median of `--repeat` runs after a first one.
`frames of five faces`: from 1280 x 720 pixels in memory to embeddings, drawn people; photos are frames there.
"""

import argparse
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import cli  # noqa: E402
from facecom.data import folders, images  # noqa: E402
from facecom.errors import FacecomError  # noqa: E402
from facecom.evaluation import results  # noqa: E402

BATCH = 64


def decoding(paths: list[str], args: argparse.Namespace) -> Callable:
    return lambda: [images.read_photo(path) for path in paths]


def finding(paths: list[str], args: argparse.Namespace) -> Callable:
    from facecom.faces.aligner import Aligner

    images, aligner = decoding(paths, args)(), Aligner("finder", device=args.device, amp=half(args))
    return lambda: [aligner(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]


def encoding(paths: list[str], args: argparse.Namespace) -> Callable:
    import numpy as np

    from facecom.models import loading

    member = loading.load(args.weights, "siamese", args.device, half(args))
    crops = np.zeros((BATCH, *[member.preprocessing["size"]] * 2, 3), np.uint8)
    return lambda: [member.forward(crops) for _ in range(0, len(paths), BATCH)]


def whole_path(paths: list[str], args: argparse.Namespace) -> Callable:
    return lambda: through(verifier(args), paths, BATCH, None)


def whole_path_float32(paths: list[str], args: argparse.Namespace) -> Callable:
    args.amp = False
    return whole_path(paths, args)


def whole_path_four_times(paths: list[str], args: argparse.Namespace) -> Callable:
    return whole_path(paths * 4, args)


def one_by_one(paths: list[str], args: argparse.Namespace) -> Callable:
    made = verifier(args)
    return lambda: [made([images.read_photo(path)]) for path in paths]


def published_recipe(paths: list[str], args: argparse.Namespace) -> Callable:
    from facecom.inference import ensemble
    from facecom.models import loading

    members = [loading.untrained("siamese", args.device)]
    made = ensemble.Ensemble(members, "off", device=args.device)
    return lambda: through(made, paths, 32, 2)


def others(member, align: str, args: argparse.Namespace):
    """Another's network behind our face finder."""
    from facecom.inference import ensemble

    return ensemble.Ensemble([member], align, device=args.device, amp=half(args))


def edgeface(paths: list[str], args: argparse.Namespace) -> Callable:
    import numpy as np

    from facecom.models.loading import Runner
    from pretraining.targets.teachers import of_both, open_teacher

    look = open_teacher(args.edgeface, amp=half(args) is not None)

    def forward(crops):
        return of_both(look, crops), np.full(len(crops), np.nan, np.float32)

    made = others(Runner("siamese", Path(args.edgeface), forward, {"size": 112, "align": "finder"}), "finder", args)
    return lambda: through(made, paths, BATCH, None)


def mobilefacenet(paths: list[str], args: argparse.Namespace) -> Callable:
    from facecom.models.onnx import foreign
    from facecom.models.published import IMAGENET_MEAN, IMAGENET_STD

    made = others(foreign(args.onnx, IMAGENET_MEAN, IMAGENET_STD), "finder", args)
    return lambda: through(made, paths, BATCH, None)


def frames(paths: list[str], args: argparse.Namespace) -> Callable:
    import numpy as np

    from facecom.inference.faces import faces_of
    from facecom.synthetic import draw_person

    made, frame = verifier(args), np.full((720, 1280, 3), 110, np.uint8)
    for number, person in enumerate((0, 1, 2, 3, 5)):
        frame[100 + 70 * number : 324 + 70 * number, 20 + 250 * number : 244 + 250 * number] = draw_person(person, 0)[0]
    found = faces_of([(0, frame, 1280)], made)
    if len(found.rows) != 5:
        raise FacecomError(f"{len(found.rows)} faces found in the drawn frame, not 5: the measurement would be another")
    return lambda: [faces_of([(0, frame, 1280)], made) for _ in paths]


def onnx(paths: list[str], args: argparse.Namespace) -> Callable:
    from facecom.models import loading
    from facecom.models.export import example_crops, export

    with tempfile.TemporaryDirectory() as folder:
        export(args.weights, "siamese", Path(folder) / "siamese.onnx")
        member = loading.load(Path(folder) / "siamese.onnx", "siamese")
    crops = example_crops(member.preprocessing["size"])[[0] * BATCH]
    return lambda: [member.forward(crops) for _ in range(0, len(paths), BATCH)]


#: What is measured, and on what share of the photos.
MEASUREMENTS = {
    "decode, one process": (decoding, 1),
    "face finder": (finding, 1),
    "encoder": (encoding, 1),
    "encoder, ONNX float32": (onnx, 1),
    "files to embeddings": (whole_path, 1),
    "files to embeddings, four times the photos": (whole_path_four_times, 1),
    "files to embeddings, float32": (whole_path_float32, 1),
    "files to embeddings, one photo at a time": (one_by_one, 0.1),
    "files to embeddings, published recipe": (published_recipe, 0.25),
    "frames of five faces": (frames, 0.02),
}

#: The same with networks of others, by the flag that names their file.
OTHERS = {
    "files to embeddings, EdgeFace-XS": (edgeface, 0.5, "edgeface"),
    "files to embeddings, MobileFaceNet": (mobilefacenet, 0.5, "onnx"),
}


def half(args: argparse.Namespace):
    return cli.pick_amp(args.amp, cli.pick_device(args.device))


def verifier(args: argparse.Namespace):
    from facecom.inference import ensemble

    return ensemble.load([args.weights], "siamese", align=args.align, device=args.device, amp=half(args))


def through(made, paths: list[str], batch_size: int, workers: int | None) -> int:
    from facecom.inference.pipeline import stream

    return sum(len(batch.rows) for batch in stream(paths, made, batch_size=batch_size, workers=workers))


def measure(name: str, paths: list[str], args: argparse.Namespace) -> dict:
    """One measurement, as a row; runs in a process of its own."""
    import torch

    make, share, *_ = (MEASUREMENTS | OTHERS)[name]
    paths = paths[: max(1, int(len(paths) * share))]
    run = make(paths, args)
    count = len(paths) * (4 if make is whole_path_four_times else 1)
    run()
    seconds = []
    for _ in range(args.repeat):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return {
        "measurement": name,
        "device": args.device,
        "threads": torch.get_num_threads(),
        "photos": count,
        "photos_per_second": round(count / statistics.median(seconds), 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


@contextmanager
def photos_of(img_dir: Path | None) -> Iterator[list[str]]:
    """Paths of the photos of a folder, or of drawn people for as long as the context lasts."""
    from facecom.synthetic import write_sample

    if img_dir:
        yield folders.any_table(img_dir).path.to_list()
        return
    with tempfile.TemporaryDirectory() as folder:
        write_sample(folder, splits=("val",))
        yield folders.any_table(Path(folder) / "val").path.to_list()


def main(args: argparse.Namespace) -> None:
    rows = []
    spawn = multiprocessing.get_context("spawn")
    with photos_of(args.img_dir) as paths:
        paths = (paths * (args.photos // len(paths) + 1))[: args.photos]
        asked = [name for name, (*_, flag) in OTHERS.items() if getattr(args, flag)]
        for name in [*MEASUREMENTS, *asked]:
            with ProcessPoolExecutor(1, spawn) as own:
                rows.append(own.submit(measure, name, paths, args).result())
            print("{measurement:45} {photos_per_second:9,.1f} photos/s  {peak_memory_mb:6,} MB".format(**rows[-1]))
    results.write_rows(args.output, rows)


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--img_dir", type=Path, help="folder of photos (default: drawn people)")
    parser.add_argument("--photos", type=int, default=2048, help="how many, repeated where there are fewer")
    parser.add_argument("--weights", help="Siamese checkpoint (default: shipped)")
    parser.add_argument("--edgeface", help="EdgeFace-XS, a state dict, to be measured beside it")
    parser.add_argument("--onnx", help="MobileFaceNet, an ONNX file, to be measured beside it")
    parser.add_argument("--align", choices=("finder", "fixed", "off"), help="default: what the weights say")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where the networks run")
    parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True, help="half precision where fast")
    parser.add_argument("--repeat", type=int, default=3, help="runs, of which the median counts")
    parser.add_argument("--output", type=Path, default=Path("results/speed.csv"), help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
