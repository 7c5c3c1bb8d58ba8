"""From a run of Task A's train.py to the shipped gender network: fp16, with a limit of face confidence and provenance.

    python -m pretraining.ship_gender weights/best_convnext_gender_model.pth

Temperature and decision threshold are the run's own; the classifier's bias takes the threshold up, so that it is 0.5
and the probability reads as one. Below the face confidence that the shipped Siamese network wants, the answer is
"cannot tell": both look at what the same face finder cut.
"""

import argparse
from pathlib import Path

import numpy as np

from facecom import checkpoint
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


def main(args):
    loaded = checkpoint.load(args.weights, "gender")
    (point,) = loaded.operating_points
    cut = np.log(point["threshold"] / (1 - point["threshold"])) * loaded.temperature
    loaded.model.classifier.bias.data -= cut
    limits = checkpoint.load(None, "siamese").info["limits"] or {}
    recipe = {name: value for name, value in loaded.info["args"].items() if name not in OF_THE_MACHINE}
    config = {name: value for name, value in loaded.config.items() if name not in ("task", "pretrained")}
    told = {name: loaded.info[name] for name in ("epoch", "metrics", "data")}
    checkpoint.save(
        args.output, task="gender", model=loaded.model, config=config, preprocessing=loaded.preprocessing,
        operating_points=[point | {"threshold": 0.5}], temperature=loaded.temperature, args=recipe, half=True,
        limits={"face_confidence": limits.get("face_confidence", 0.0)}, **told,
    )  # fmt: skip
    sources = ("facecom", "faces", "heads", "landmarks", "teacher")
    write_provenance(Path(args.output), sources, "comsys-hackathon-taskA/train.py, python -m pretraining.ship_gender")
    print(f"{args.output}: temperature {loaded.temperature:.3f}, {told['metrics']}")


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights", help="the best checkpoint of Task A's train.py")
    parser.add_argument("--output", default=str(checkpoint.SHIPPED / "gender.pt"))
    return parser


if __name__ == "__main__":
    main(get_args_parser().parse_args())
