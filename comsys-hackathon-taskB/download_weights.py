"""The published solution's weights of Task B, to compare with."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from facecom import cli, datasets  # noqa: E402

if __name__ == "__main__":
    cli.run(lambda args: datasets.download_weights(args, "B"), datasets.weights_arguments("B", HERE))
