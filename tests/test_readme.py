"""What the documents say can be done: their commands exist, their examples run."""

import argparse
import re
import shlex
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scripts import module_of

from facecom import cli
from facecom.commands import main

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "MODEL_CARD.md",
    "pretraining/README.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
)
SCRIPTS = [
    str(path.relative_to(ROOT))
    for pattern in ("comsys-hackathon-task?/*.py", "benchmarks/*.py", "app.py", "facecom/export.py")
    for path in sorted(ROOT.glob(pattern))
]


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)


def commands(program: str = "python") -> list[list[str]]:
    """Every command of the documents that runs a Python file or module of this repository, or `facecom`, as words."""
    lines = [
        line
        for document in DOCUMENTS
        for block in blocks(document, "bash")
        for whole in block.replace("\\\n", " ").splitlines()
        for line in whole.split("&&")
    ]
    found = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in found if words[:1] == [program]]


@cache
def parser_of(script: str) -> argparse.ArgumentParser:
    path = ROOT / script
    module = module_of(path)
    if hasattr(module, "get_args_parser"):
        return module.get_args_parser()
    make = {"download_data": "data_arguments", "download_weights": "weights_arguments"}[path.stem]
    return getattr(module.download, make)(path.parent.name[-1], path.parent)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_gives_an_example_and_says_what_every_flag_does(script, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [script, "--help"])
    parser = parser_of(script)
    assert re.search(rf"python (-m )?\S*{Path(script).stem}\b", parser.description)
    assert not [action.option_strings for action in parser._actions if not action.help]
    with pytest.raises(SystemExit):
        cli.run(None, parser)
    printed = capsys.readouterr().out
    assert parser.description.strip() in printed  # its lines as they are
    for action in parser._actions:
        if isinstance(action.default, int | float) and not isinstance(action.default, bool):
            assert f"(default: {action.default})" in " ".join(printed.split()), action.dest


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_exists_with_its_flags(words):
    script = words[1].replace(".", "/") + ".py" if words[0] == "-m" else words[0]
    if not (ROOT / script).is_file():  # a package
        script = words[1].replace(".", "/") + "/__main__.py"
    assert (ROOT / script).is_file()
    flags = {word for word in words[1:] if word.startswith("--")}
    assert flags <= set(parser_of(script)._option_string_actions)


def test_the_two_commands_stand_first():
    first, second = blocks("README.md", "bash")[0].splitlines()
    assert first == "pip install -e . && python comsys-hackathon-taskB/test.py --sample"
    assert second == 'pip install -e ".[test]" && pytest'


@pytest.mark.parametrize("words", commands("facecom"), ids=" ".join)
def test_every_console_command_exists_with_its_flags(words):
    (command,) = [command for command in main.COMMANDS if tuple(words[: len(command.words)]) == command.words]
    flags = {word for word in words if word.startswith("--")}
    assert flags <= set(main.parser_of(command)._option_string_actions)


def test_the_commands_of_the_readmes_table_exist():
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## Which command for me?")[1]
    called = [shlex.split(line) for line in re.findall(r"\| `(facecom [^`]+)`", table)]
    assert len(called) >= 6
    for words in called:
        test_every_console_command_exists_with_its_flags(words[1:])


def anchors_of(text: str) -> set[str]:
    """What a page's headings can be linked by."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document):
    text = re.sub(r"```.*?```", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        name, _, anchor = link.partition("#")
        target = (ROOT / document).parent / name if name else ROOT / document
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target.read_text(encoding="utf-8")), link


def test_every_picture_says_what_it_shows():
    for document in DOCUMENTS:
        for words in re.findall(r"!\[([^\]]*)\]\(", (ROOT / document).read_text(encoding="utf-8")):
            assert len(words) > 10, document


def test_the_python_examples_run(sample_b, tmp_path, monkeypatch):
    (tmp_path / "comsys-hackathon-taskB" / "data").mkdir(parents=True)
    (tmp_path / "comsys-hackathon-taskB" / "data" / "Task_B").symlink_to(sample_b)
    monkeypatch.chdir(tmp_path)
    names = {}
    for example in blocks("docs/tutorials/python.md", "python"):
        exec(example, names)
    count = len(names["photos"])
    assert names["embeddings"].shape == (count, 128)
    assert np.linalg.norm(names["embeddings"], axis=1) == pytest.approx(np.ones(count), abs=1e-5)
    assert 0 <= names["answer"].distance <= 2
    assert names["table"].columns.to_list() == ["filename", "gender", "p_female", "face_confidence"]
    assert names["foggy"].shape == names["distorted"].shape == names["photo"].shape
