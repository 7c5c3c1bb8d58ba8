"""Photos of Task A: the organisers' archive from Google Drive or from disk, or drawn people."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from facecom import signals  # noqa: E402

if __name__ == "__main__":
    signals.end_in_one_line()  # while the rest is imported

from pathlib import Path  # noqa: E402

from facecom import cli  # noqa: E402
from facecom.commands import download  # noqa: E402

HERE = Path(__file__).resolve().parent

if __name__ == "__main__":
    cli.run(lambda args: download.download_data(args, "A"), download.data_arguments("A", HERE))
