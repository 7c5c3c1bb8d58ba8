"""Nothing here unpickles what could run code: files come from strangers, also those that look like one's own."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: Folders whose code reads files.
READERS = ("facecom", "pretraining", "benchmarks", "comsys-hackathon-task*")

#: What runs whatever a file says, by its full name, and by its last name wherever it is from.
FORBIDDEN = {
    f"{module}.{name}" for module in ("pickle", "_pickle", "dill", "cloudpickle") for name in ("load", "loads")
} | {"pickle.Unpickler", "joblib.load", "shelve.open", "torch.jit.load"}
FORBIDDEN_ANYWHERE = {"read_pickle", "unsafe_load"}


def unsafe(source: str) -> list[str]:
    """What in the code would run code from a file: `torch.load` not told `weights_only=True` where it is called,
    pickle's readers however imported and whether called or handed on, NumPy's `allow_pickle=True`."""
    tree, names, found = ast.parse(source), {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {one.asname or one.name.split(".")[0]: one.name if one.asname else one.name.split(".")[0]
                      for one in node.names}  # fmt: skip
        elif isinstance(node, ast.ImportFrom):
            names |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}

    def full(node) -> str:
        if isinstance(node, ast.Attribute):
            return f"{full(node.value)}.{node.attr}"
        return names.get(node.id, node.id) if isinstance(node, ast.Name) else "?"

    def told(call, name) -> bool:
        return any(
            word.arg == name and isinstance(word.value, ast.Constant) and word.value.value is True
            for word in call.keywords
        )

    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    safe = {id(call.func) for call in calls if told(call, "weights_only")}
    found += [f"line {call.lineno}: allow_pickle" for call in calls if told(call, "allow_pickle")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            name = full(node)
            if name in ("torch.load", "torch.serialization.load") and id(node) in safe:
                continue
            bare = name in ("torch.load", "torch.serialization.load") or name.split(".")[-1] in FORBIDDEN_ANYWHERE
            if bare or name in FORBIDDEN:
                found.append(f"line {node.lineno}: {name}")
    return found


@pytest.mark.parametrize("folder", READERS)
def test_no_code_unpickles_what_could_run_code(folder):
    files = [path for place in ROOT.glob(folder) for path in place.rglob("*.py")]
    assert files
    found = {str(path.relative_to(ROOT)): unsafe(path.read_text(encoding="utf-8")) for path in files}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import torch\ntorch.load('a')",
        "import torch\ntorch.load('a', weights_only=False)",
        "import torch\ntorch.load('a', weights_only=trusted)",
        "import torch as t\nt.load('a')",
        "from torch import load\nload('a')",
        "from torch import load as read\nread('a', map_location='cpu')",
        "import torch.nn\nlist(map(torch.load, files))",
        "import pickle\npickle.load(file)",
        "import pickle as p\np.loads(text)",
        "from pickle import loads\nreader = loads",
        "import pickle\npickle.Unpickler(file).load()",
        "import pandas as pd\npd.read_pickle('a')",
        "import numpy as np\nnp.load('a', allow_pickle=True)",
    ],
)
def test_what_could_run_code_is_found(code):
    assert len(unsafe(code)) == 1


@pytest.mark.parametrize(
    "code",
    [
        "import torch\ntorch.load('a', map_location='cpu', weights_only=True)",
        "from torch import load\nload('a', weights_only=True)",
        "import json\njson.load(file)",
        "import numpy as np\nnp.load('a')",
        "import pickle\nraise pickle.UnpicklingError",
        "'''torch.load(x)'''  # pickle.load",
    ],
)
def test_what_runs_nothing_is_left_alone(code):
    assert unsafe(code) == []
