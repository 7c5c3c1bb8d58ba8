"""The folder of a training run: settings, a row an epoch, curves. Everything in it is written whole."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from facecom.errors import FacecomError
from facecom.files import write_whole

#: Metrics that get a panel of their own in the curves, of whichever set has them.
PANELS = ("loss", "accuracy", "f1", "tar@far=1e-3", "rank1", "balanced_accuracy", "auc")

#: What a run writes beside `last.pt` and its settings.
WRITTEN = ("best.pt", "log.csv", "curves.png")


def open_run(folder: str | Path, resume: bool) -> Path | None:
    """The checkpoint to go on from, or None for a new run. Raises FacecomError where a new run would overwrite one, or
    files of the same names that are somebody else's."""
    last = Path(folder) / "last.pt"
    if resume and last.exists():
        return last
    if resume:
        print(f"nothing to resume in {folder}: starting from the beginning")
    elif last.exists():
        raise FacecomError(
            f"{folder} holds a run already: --resume goes on with it, another --run_dir starts a new one"
        )
    elif there := [name for name in WRITTEN if (Path(folder) / name).exists()]:
        raise FacecomError(f"{folder} holds {there[0]} already, and no run to go on with: choose another --run_dir")
    return None


def write_log(path: str | Path, rows: Sequence[Mapping]) -> None:
    """CSV with a row an epoch; numbers with six significant digits, undefined ones empty."""
    with write_whole(path, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _text(value) for name, value in row.items()})


def draw_curves(path: str | Path, rows: Sequence[Mapping]) -> None:
    """A PNG with a panel a metric and a line a set (training, held back, val) over the epochs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = {metric: [name for name in rows[0] if name.split("_", 1)[-1] == metric] for metric in PANELS}
    panels = {metric: names for metric, names in panels.items() if names}
    figure = Figure((4 * len(panels), 3), layout="constrained")
    FigureCanvasAgg(figure)
    epochs = [row["epoch"] for row in rows]
    for axes, (metric, names) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for name in names:
            axes.plot(
                epochs, [row[name] for row in rows], marker=".", label=name.split("_")[0].replace("held", "held back")
            )
        axes.set(title=metric, xlabel="epoch")
        axes.grid(alpha=0.3)
        axes.legend()
    with write_whole(path, "wb") as file:
        figure.savefig(file, format="png", dpi=110)


def epoch_line(row: Mapping, epochs: int) -> str:
    """What is printed after an epoch: a line a set of photos."""
    sets: dict[str, list[str]] = {}
    for name, value in row.items():
        prefix, _, metric = name.partition("_")
        if metric and value == value:
            sets.setdefault(prefix, []).append(f"{metric} {value:.4f}")
    titles = {"train": "train", "held": "held back", "val": "val"}
    lines = [f"  {titles[prefix]:<9} {'  '.join(figures)}" for prefix, figures in sets.items()]
    return "\n".join([f"epoch {row['epoch']}/{epochs}", *lines])


def _text(value) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.6g}"
    return str(value)
