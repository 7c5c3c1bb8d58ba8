"""Known people, in a gallery that stays: each photo is looked at once. Needs: pip install -e ".[gallery]"

python enroll.py --gallery people.lance --img_dir people             people/<name>/*.jpg; only what is new or changed
python enroll.py --gallery people.lance --name Ann --img_dir ann     one person's folder, or photo
python enroll.py --gallery people.lance --list                       who is in it
python enroll.py --gallery people.lance --remove Ann
python test.py --img_dir photos --gallery people.lance               who of them is on each photo?
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
from facecom.commands import enroll  # noqa: E402

HERE = Path(__file__).resolve().parent


def get_args_parser() -> argparse.ArgumentParser:
    return enroll.arguments(__doc__)


def main(args: argparse.Namespace) -> int:
    return enroll.main(args, HERE)[0]


if __name__ == "__main__":
    cli.run(main, get_args_parser(), last=True)
