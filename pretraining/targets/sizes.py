"""What the encoder's target loses by having 128 numbers: the teachers' own figures on held-back people, no training.

    python -m pretraining.targets.sizes --crops crops

A row a size in results/target_sizes.csv: clean held-back crops, TAR at FAR 1e-3 among all strangers and among those of
the same gender, rank-1; `all` is the teachers side by side as they are, then without the means of their sources.
"""

import argparse

from facecom import cli
from facecom.evaluation import results
from pretraining.targets.people import People
from pretraining.targets.projection import principal_directions, unit
from pretraining.validation import figures, judged

SIZES = (64, 128, 256, 512)


def main(args):
    people = People(args.crops)
    chosen = judged(people, args.limit)
    centred = people.embeddings - people.means
    basis = principal_directions(centred[people.training], max(SIZES))
    targets = {"all": people.embeddings[chosen], "all, means off": unit(centred[chosen])}
    targets |= {str(size): unit(centred[chosen] @ basis[:, :size]) for size in SIZES}
    rows = []
    for name, found in targets.items():
        told = figures(found, found, people.identity[chosen], people.gender[chosen], found)
        rows.append({"numbers": name, "photos": len(chosen)} | told)
        print(rows[-1])
    results.write_rows(args.output, rows)


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--crops", required=True, help="folder that pretraining.targets.crops wrote")
    parser.add_argument("--limit", type=int, default=4000, help="held-back photos")
    parser.add_argument("--output", default="results/target_sizes.csv")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
