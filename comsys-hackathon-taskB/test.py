"""Who is on these photos? Writes a CSV of answers, and scores where the folders say who it is.

python test.py --sample                             drawn people, to check the installation
python test.py --img_dir data/Task_B/val            identity folders: a row a photo, every protocol's scores
python test.py --pairs pairs.csv                    image1,image2[,same] -> image1,image2,distance,same
python test.py --img_dir photos                     a flat folder: all pairs (--nearest K: of each photo the K best)
python test.py --img_dir photos --gallery people    each photo identified among the people of the gallery
python test.py --img_dir photos --gallery people.lance   the same with a gallery that enroll.py has made
python test.py --img_dir probes --gallery people --pool  each folder of photos is one person and one answer
python test.py --img_dir clip.mp4 --gallery people       who comes, from when to when
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from facecom import signals  # noqa: E402

if __name__ == "__main__":
    signals.end_in_one_line()  # while the rest is imported

import argparse  # noqa: E402
from pathlib import Path  # noqa: E402

from facecom import cli  # noqa: E402
from facecom.commands import recognition  # noqa: E402

HERE = Path(__file__).resolve().parent


def get_args_parser() -> argparse.ArgumentParser:
    return recognition.arguments(__doc__)


def main(args: argparse.Namespace) -> int:
    return recognition.main(args, HERE)


if __name__ == "__main__":
    cli.run(main, get_args_parser(), last=True)
