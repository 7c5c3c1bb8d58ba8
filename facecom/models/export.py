"""A checkpoint as one ONNX file that needs no Python: preprocessing is inside, settings are in its metadata.

python -m facecom.export --task siamese --weights best_siamese_convnext.pt --output siamese.onnx

Input `crops`: uint8 [N, size, size, 3], RGB, any N: cut by `alignment.align` in the frame that the weights want
(landmarks: the whole picture in a square). Outputs:
siamese `embedding` float32 [N, 128], unit length, and `quality` float32 [N], 0 to 1, where the network has it;
gender `p_female` float32 [N], calibrated; landmarks `landmarks` float32 [N, 5, 2], pixels of the crop, and `confidence`
float32 [N], 0 to 1. What a checkpoint says besides (operating points, alignment, ...) is JSON, metadata `facecom`.
"""

import argparse
import contextlib
import io
import json
import logging
import os
import warnings
from pathlib import Path

from facecom.errors import FacecomError
from facecom.files import refuse_to_replace

#: Versions of ONNX and of its operators that runtimes of 2023 and later read.
OPSET = 18

#: Largest difference from torch that an exported network may have, in units of its outputs.
TOLERANCE = 1e-3

OUTPUTS = {"siamese": ("embedding", "quality"), "gender": ("p_female",), "landmarks": ("landmarks", "confidence")}


def export(weights: str | os.PathLike | None, task: str, output: str | os.PathLike) -> dict[str, float]:
    """Write a weight file (None: the shipped one) as ONNX; the file appears only when it agrees with torch.

    Returns the largest absolute difference from torch of each output. Raises FacecomError when one exceeds `TOLERANCE`,
    for weights that cannot be used, and without the packages of the extra `export`.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise FacecomError(f'writing ONNX needs {error.name}: pip install -e ".[export]"') from None
    import numpy as np
    import torch

    from facecom.files import write_whole
    from facecom.models import checkpoint
    from facecom.models.loading import CropNetwork

    loaded = checkpoint.load(weights, task)
    network = CropNetwork(loaded.model, task, loaded.preprocessing, loaded.temperature)
    crops = example_crops(loaded.preprocessing["size"])
    with torch.inference_mode():
        expected = [values.numpy() for values in network(torch.from_numpy(crops))]
    names = OUTPUTS[task][: len(expected)]
    content = _to_onnx(network, crops[:2], names, _settings(loaded, task))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.run(list(names), {"crops": crops})
    pairs = zip(names, found, expected, strict=True)
    differences = {name: float(np.abs(ours - theirs).max()) for name, ours, theirs in pairs}
    for name, difference in differences.items():
        if not difference <= TOLERANCE:
            raise FacecomError(f"{output}: {name} differs from torch by {difference:.2g}, more than {TOLERANCE:g}: "
                               "not written; try another version of torch or onnxruntime")  # fmt: skip
    with write_whole(output, "wb") as file:
        file.write(content)
    return differences


def example_crops(size: int):
    """What the two are compared on: drawn faces, noise, black and white; uint8 [N, size, size, 3]."""
    import numpy as np

    from facecom.synthetic import draw_person

    drawn = [draw_person(person, 0, size)[0] for person in range(4)]
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    return np.stack([*drawn, noise, np.zeros_like(noise), np.full_like(noise, 255)])


def _settings(loaded, task: str) -> dict:
    """What a checkpoint says besides its weights: plain values for the metadata."""
    return {
        "task": task,
        "preprocessing": loaded.preprocessing,
        "operating_points": loaded.operating_points,
        "limits": loaded.info.get("limits") or {},
        "config": loaded.config,
        "temperature": loaded.temperature,
        "opset": OPSET,
    }


def _to_onnx(network, crops, names, settings: dict) -> bytes:
    import onnx
    import torch

    from facecom.models.loading import ONNX_KEY

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # the exporter talks a lot
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network, (torch.from_numpy(crops),), input_names=["crops"], output_names=list(names), opset_version=OPSET,
            dynamic_shapes={"crops": {0: torch.export.Dim("n")}}, dynamo=True, verbose=False,
        )  # fmt: skip
    model = program.model_proto
    onnx.helper.set_model_props(model, {ONNX_KEY: json.dumps(settings)})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def main(args: argparse.Namespace) -> dict:
    refuse_to_replace(args.output, {"weights": args.weights})
    differences = export(args.weights, args.task, args.output)
    said = ", ".join(f"{name} {difference:.1e}" for name, difference in differences.items())
    print(f"wrote {args.output} ({args.output.stat().st_size / 1e6:.1f} MB, opset {OPSET})")
    print(f"largest difference from torch: {said}")
    return {"output": str(args.output), "differences": differences}


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m facecom.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=tuple(OUTPUTS), required=True, help="which network")
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="checkpoint or published weights (default: shipped)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", required=True, help="ONNX file to write")
    return parser
