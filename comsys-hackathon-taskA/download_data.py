"""Photos of Task A: the organisers' archive from Google Drive or from disk, or drawn people."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from facecom import cli, datasets  # noqa: E402

if __name__ == "__main__":
    cli.run(lambda args: datasets.download_data(args, "A"), datasets.data_arguments("A", HERE))
