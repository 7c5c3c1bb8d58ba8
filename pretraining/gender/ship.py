"""From runs of Task A's train.py to the shipped gender network: fp16, with a limit of face confidence and provenance.

    python -m pretraining.gender.ship weights/best_convnext_gender_model.pth
    python -m pretraining.gender.ship runs/gender/best.pt runs/gender2/best.pt

Several runs that start from each other become the mean of their weights (Wortsman et al., ICML 2022). What decides
about answers (temperature, threshold) is fitted anew to the held-back people of the last run's data, by its own
settings, and for one look at a face or two (`--mirror`). The classifier's bias takes the threshold up, so that it is
0.5 and the probability reads as one. Below the face confidence that the shipped Siamese network wants, the answer is
"cannot tell": both look at what the same face finder cut.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from facecom import cli
from facecom.errors import FacecomError
from facecom.models import checkpoint
from facecom.models.initial import Start, face_limit
from facecom.models.networks import build_model
from facecom.training.gender import GenderJob
from facecom.training.preparation import open_data
from pretraining.provenance import write_provenance

#: Settings that say where things lie and run, not how the network was made.
OF_THE_MACHINE = (
    "data_dir",
    "extra_data",
    "conditions_from",
    "init",
    "run_dir",
    "output",
    "resume",
    "config",
    "detector_model",
)


def mean_of(runs: list[checkpoint.Loaded]) -> torch.nn.Module:
    """A network with the mean of the runs' weights. Raises FacecomError when the networks differ."""
    if any(run.model.backbone.state_dict().keys() != runs[0].model.backbone.state_dict().keys() for run in runs):
        raise FacecomError("the weights are of different networks: give runs that start from each other")
    model = build_model(runs[-1].config)
    states = [run.model.state_dict() for run in runs]
    mean = {
        name: torch.stack([state[name].float() for state in states]).mean(0).to(value.dtype)
        for name, value in states[-1].items()
    }
    model.load_state_dict(mean)
    return model


def settled(runs: list[checkpoint.Loaded], mirrored: bool = False) -> tuple[GenderJob, dict]:
    """(the mean network as a job whose calibration is settled on held-back people, their figures). mirrored: whether
    it looks at the mirror image, too."""
    settings = argparse.Namespace(**runs[-1].info["args"])
    settings.data_dir = Path(settings.data_dir)
    settings.conditions_from = settings.conditions_from and Path(settings.conditions_from)
    preprocessing = runs[-1].preprocessing | {"mirror": mirrored}
    config = {name: value for name, value in runs[-1].config.items() if name not in ("task", "pretrained")}
    start = Start(mean_of(runs), config, "", preprocessing)
    device = cli.pick_device("cpu")
    sets, data = open_data("A", settings, preprocessing, device)
    job = GenderJob(settings, start, preprocessing, sets, data, device)
    return job, job.evaluate()


def main(args):
    runs = [checkpoint.load(path, "gender") for path in args.weights]
    job, metrics = settled(runs, args.mirror)
    (point,) = job.operating_points
    cut = np.log(point["threshold"] / (1 - point["threshold"])) * job.temperature
    job.model.classifier.bias.data -= cut
    recipe = {name: value for name, value in runs[-1].info["args"].items() if name not in OF_THE_MACHINE}
    recipe |= {"mean_of_runs": len(runs)} if len(runs) > 1 else {}
    checkpoint.save(
        args.output, task="gender", model=job.model, config=job.config, preprocessing=job.preprocessing,
        operating_points=[point | {"threshold": 0.5}], temperature=job.temperature, args=recipe, half=True,
        limits=face_limit("finder"), metrics=metrics, epoch=runs[-1].info["epoch"], data=job.data,
    )  # fmt: skip
    sources = ("facecom", "faces", "heads", "landmarks", "edgeface", "mobilefacenet")
    write_provenance(Path(args.output), sources, "comsys-hackathon-taskA/train.py, python -m pretraining.gender.ship")
    print(f"{args.output}: temperature {job.temperature:.3f}, {metrics}")


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights", nargs="+", help="the best checkpoint of each run of Task A's train.py, latest last")
    parser.add_argument("--mirror", action="store_true", help="two looks a photo, the second at its mirror image")
    parser.add_argument("--output", default=str(checkpoint.SHIPPED / "gender.pt"))
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
