"""`facecom verify`: do two photos show the same person?"""

import argparse

from facecom import cli


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Do two photos show the same person?\n\n    facecom verify ann.jpg unknown.jpg",
        parents=[cli.shared_arguments()],
    )
    parser.add_argument("first", help="a photo")
    parser.add_argument("second", help="the photo to compare it with")
    group = parser.add_argument_group("network")
    group.add_argument("--weights", nargs="+", default=[], metavar="FILE", help="checkpoint or .onnx; several make an "
                       "ensemble (default: the shipped one)")  # fmt: skip
    group.add_argument("--far", type=float, help="decide at the operating point stored for this false accept rate "
                       "(default: the first one stored, 1e-3)")  # fmt: skip
    return parser


def main(args: argparse.Namespace) -> dict:
    """Prints the answer; returns what `--json` prints."""
    from facecom.inference.verifier import FaceVerifier

    verifier = FaceVerifier(
        *args.weights,
        far=args.far,
        align=args.align,
        detector_model=args.detector_model,
        device=args.device,
        amp=args.amp,
        workers=0,
    )
    found = verifier.verify(args.first, args.second)
    words = {True: "the same person", False: "not the same person", None: "cannot tell: no face was found well enough"}
    print(words[found.same])
    passing = f"; 1 in {1 / found.far:,.0f} pairs of strangers passes" if found.far else ""
    print(f"distance {found.distance:.3f}, the same person up to {found.threshold:.3f}{passing}")
    return {"first": args.first, "second": args.second, **vars(found)}
