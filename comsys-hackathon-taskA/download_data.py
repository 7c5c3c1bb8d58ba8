"""Photos of Task A: the organisers' archive from Google Drive or from disk, or drawn people."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from facecom import cli  # noqa: E402
from facecom.commands import download  # noqa: E402

if __name__ == "__main__":
    cli.run(lambda args: download.download_data(args, "A"), download.data_arguments("A", HERE))
