"""Imports run one way: between packages as `pyproject.toml` says (import-linter), and inside each package too."""

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).resolve().parent.parent
grimp = pytest.importorskip("grimp")


def circles(graph) -> list[list[str]]:
    """Modules that reach each other through imports: strongly connected components of more than one."""
    modules = sorted(graph.modules)
    imports = np.array([[graph.direct_import_exists(importer=a, imported=b) for b in modules] for a in modules])
    count, component = connected_components(imports, connection="strong")
    groups = [[module for module, own in zip(modules, component, strict=True) if own == i] for i in range(count)]
    return [group for group in groups if len(group) > 1]


@pytest.mark.parametrize("package", ["facecom", "pretraining"])
def test_no_circle_of_imports(package, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    # Imports for types alone never run.
    assert circles(grimp.build_graph(package, exclude_type_checking_imports=True, cache_dir=None)) == []


def test_circles_are_found():
    graph = grimp.ImportGraph()
    for importer, imported in ("ab", "bc", "cb", "cd", "de", "fe", "gf", "fg"):
        for module in (importer, imported):
            graph.add_module(module)
        graph.add_import(importer=importer, imported=imported)
    assert circles(graph) == [["b", "c"], ["f", "g"]]


def test_rooms_stay_small():
    """At most ten modules a folder, five directly in `facecom/`, 300 lines a file."""
    for folder in {path.parent for package in ("facecom", "pretraining") for path in (ROOT / package).rglob("*.py")}:
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= (4 if folder == ROOT / "facecom" else 10), folder  # five with `__init__`
        for path in modules:
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, path
