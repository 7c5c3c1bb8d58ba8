"""A page in the browser: are two photos the same person, male or female, and what bad conditions do to the answer.

python app.py                   # http://127.0.0.1:7860, on this machine only

Photos stay on this machine: nothing is sent anywhere, and the page's working copies are deleted when it ends.
"""

from facecom import signals

if __name__ == "__main__":
    signals.end_in_one_line()  # while the rest is imported

import argparse  # noqa: E402

from facecom import cli  # noqa: E402
from facecom.page import serve  # noqa: E402
from facecom.page.serve import main  # noqa: E402


def get_args_parser() -> argparse.ArgumentParser:
    return serve.arguments(__doc__)


if __name__ == "__main__":
    cli.run(main, get_args_parser())
