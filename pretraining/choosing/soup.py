"""The mean of several legs' weights, one more candidate for `pretraining.choosing.ship` (Wortsman et al., ICML 2022).

    python -m pretraining.choosing.soup runs/leg2/ema.pt runs/leg3/ema.pt --output runs/soup.pt

Legs that start from each other lie in one valley of the loss; their mean lies lower in it than its rims.
"""

import argparse
from pathlib import Path

import torch

from facecom import cli
from facecom.errors import FacecomError
from facecom.models import checkpoint


def soup(contents: list[dict]) -> dict:
    """The last of the contents of `ema.pt` files, with the mean of all their weights (fp16). The photos and minutes of
    the last count those of the legs before. Raises FacecomError when the networks differ."""
    last = contents[-1]
    if any(content["config"] != last["config"] for content in contents):
        raise FacecomError("the weights are of different networks: give legs that start from each other")
    mean = {}
    for name, value in last["model"].items():
        values = [content["model"][name] for content in contents]
        mean[name] = torch.stack([v.float() for v in values]).mean(0).half() if value.is_floating_point() else value
    return last | {"model": mean, "args": (last.get("args") or {}) | {"mean_of_legs": len(contents)}}


def main(args):
    checkpoint.write(soup([checkpoint.read(Path(path)) for path in args.weights]), args.output)


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights", nargs="+", help="ema.pt of each leg, the latest last")
    parser.add_argument("--output", required=True)
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
