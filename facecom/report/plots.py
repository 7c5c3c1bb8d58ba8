"""The report's figures: data in, matplotlib figure out, in a light or a dark theme."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from scipy.stats import norm

from facecom.evaluation.results import figure as figure_text

WIDTH = 7.2  # inches: the text width of a sheet of A4
DPI = 144


class Theme(NamedTuple):
    ink: str
    paper: str
    grid: str
    muted: str
    same: str  # genuine pairs, right answers
    other: str  # impostor pairs, wrong answers
    conditions: tuple[str, ...]


LIGHT = Theme(
    "#1d1d21", "#ffffff", "#dcdce2", "#6b6b74", "#1667b7", "#c8500a",
    ("#1d1d21", "#d58a00", "#2d9bd6", "#00855f", "#8a6d1f", "#1f4fa3", "#cf4a00", "#b5578f"),
)  # fmt: skip
DARK = Theme(
    "#ececf1", "#17181c", "#3b3c45", "#a0a0aa", "#5aa9f0", "#f08a45",
    ("#ececf1", "#f0b030", "#6cc5f5", "#35c49a", "#c8a95a", "#7f9dff", "#ff7a3d", "#e58fc0"),
)  # fmt: skip


def png(draw: Callable[[Theme], Figure], theme: Theme) -> bytes:
    """The drawn figure as a PNG file in the theme's colours."""
    settings = {
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "text.color": theme.ink,
        "axes.facecolor": theme.paper,
        "axes.edgecolor": theme.muted,
        "axes.labelcolor": theme.ink,
        "axes.titlecolor": theme.ink,
        "axes.titlesize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": theme.grid,
        "grid.linewidth": 0.6,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "legend.frameon": False,
        "figure.facecolor": theme.paper,
    }
    with matplotlib.rc_context(settings):  # type: ignore[arg-type]
        buffer = io.BytesIO()
        draw(theme).savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def per_condition(
    series: Mapping[str, Mapping[str, dict]], label: str, theme: Theme, unmarked: str | None = None
) -> Figure:
    """Figures with their intervals: a line a condition, a mark a series. series: {name: {condition: result row}};
    unmarked: the series to show without intervals."""
    conditions = list(dict.fromkeys(c for rows in series.values() for c in rows))
    fig, axes = _figure(0.9 + 0.36 * len(conditions))
    marks = ("o", "s", "|")
    colours = (theme.same, theme.other, theme.muted)
    for number, (name, rows) in enumerate(series.items()):
        offset = (number - (len(series) - 1) / 2) * 0.24
        for position, condition in enumerate(conditions):
            row = rows.get(condition)
            if row is None or np.isnan(row["value"]):
                continue
            y = position + offset
            if name != unmarked and not np.isnan(row["low"]):
                axes.plot([row["low"], row["high"]], [y, y], color=colours[number], linewidth=2, alpha=0.55)
            axes.plot(row["value"], y, marks[number], color=colours[number], markersize=6, label=name, clip_on=False)
            if number == 0:
                axes.text(1.015, y, figure_text(row), va="center", color=theme.ink, transform=_right_of(axes))
    left = 0.5 if axes.dataLim.x0 > 0.5 else 0
    axes.set(xlim=(left, 1), ylim=(len(conditions) - 0.4, -0.6), xlabel=label)
    axes.set_yticks(range(len(conditions)), conditions)
    axes.grid(axis="y", visible=False)
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if len(handles) > 1:
        fig.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=len(handles))
    return fig


def roc(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    legend: Mapping[str, str],
    theme: Theme,
    labels: tuple[str, str] = ("false accept rate: strangers taken for the same person", "true accept rate"),
    title: str = "TAR at FAR 1e-3",
    lowest: float = 1e-5,
) -> Figure:
    """TAR over FAR, logarithmic. curves: {condition: (far [K], tar [K])}; legend: {condition: its name there}; lowest:
    where the FAR axis begins."""
    fig, axes = _figure(3.9)
    for condition, (far, tar), style in _styled(curves, theme):
        axes.plot(np.maximum(far, lowest / 10), tar, label=legend[condition], drawstyle="steps-post", **style)
    if lowest < 1e-3:
        axes.axvline(1e-3, color=theme.muted, linewidth=0.8, linestyle=":")
    axes.set(xscale="log", xlim=(lowest, 1), ylim=(0, 1.01), xlabel=labels[0], ylabel=labels[1])
    fig.legend(loc="outside right center", title=title)
    return fig


def det(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], legend: Mapping[str, str], theme: Theme) -> Figure:
    """Both errors on normal-deviate axes (Martin et al., Eurospeech 1997), where normal scores make a straight line."""
    fig, axes = _figure(3.9)
    ticks = np.array([1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99])
    for condition, (far, tar), style in _styled(curves, theme):
        inside = (far > 0) & (far < 1) & (tar > 0) & (tar < 1)
        axes.plot(norm.ppf(far[inside]), norm.ppf(1 - tar[inside]), label=legend[condition], **style)
    axes.plot(norm.ppf([5e-5, 0.995]), norm.ppf([5e-5, 0.995]), color=theme.muted, linewidth=0.8, linestyle=":")
    names = [f"{100 * tick:g} %" for tick in ticks]
    axes.set_xticks(norm.ppf(ticks), names)
    axes.set_yticks(norm.ppf(ticks), names)
    axes.set(xlim=norm.ppf([5e-5, 0.995]), ylim=norm.ppf([5e-4, 0.995]))
    axes.set(xlabel="false accept rate", ylabel="false reject rate: the same person not recognised")
    fig.legend(loc="outside right center", title="equal error rate")
    return fig


def histograms(
    counts: Mapping[str, tuple[np.ndarray, np.ndarray]],
    edges: np.ndarray,
    marks: Mapping[float, str],
    names: tuple[str, str],
    label: str,
    theme: Theme,
) -> Figure:
    """Two distributions, a panel a condition. counts: {condition: (of the first, of the second)}, [bins] each; marks:
    thresholds {value: name}; names: of the two."""
    columns = min(3, len(counts))
    lines = -(-len(counts) // columns)
    fig = Figure(figsize=(WIDTH, 0.8 + 1.25 * lines), layout="constrained")
    panels = fig.subplots(lines, columns, sharex=True, squeeze=False).ravel()
    for panel, (condition, pair) in zip(panels, counts.items(), strict=False):
        for values, colour, name in zip(pair, (theme.same, theme.other), names, strict=True):
            density = values / max(values.sum(), 1)
            panel.stairs(density, edges, color=colour, linewidth=1.2, label=name)
            panel.stairs(density, edges, fill=True, color=colour, alpha=0.22)
        for value, style in zip(marks, ("-", "--", ":"), strict=False):
            panel.axvline(value, color=theme.ink, linewidth=1, linestyle=style, label=marks[value])
        panel.set_title(f"{condition}   {pair[0].sum():,.0f} / {pair[1].sum():,.0f}", loc="left")
        panel.yaxis.set_major_locator(NullLocator())
        panel.set_xlim(edges[0], edges[-1])
    for panel in panels[len(counts) :]:
        panel.set_visible(False)
    fig.supxlabel(label, fontsize=9)
    fig.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return fig


def rank_curve(ranks: Mapping[str, np.ndarray], legend: Mapping[str, str], theme: Theme, most: int = 20) -> Figure:
    """Share of the probes whose person is among the first k photos. ranks: {condition: [P]}."""
    fig, axes = _figure(3.4)
    k = np.arange(1, most + 1)
    for condition, rank, style in _styled(ranks, theme):
        axes.plot(k, [(rank <= n).mean() for n in k], marker=".", label=legend[condition], **style)
    axes.set(xlim=(0.8, most), ylim=(0, 1.01), xlabel="looking at the k most alike photos", ylabel="share found")
    axes.set_xticks([1, 5, 10, 15, 20])
    fig.legend(loc="outside right center", title="rank-1")
    return fig


def reject_curve(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], label: str, theme: Theme) -> Figure:
    """Error over the share of answers withheld, least sure first. curves: {sorted by what: (share [K], error [K])}."""
    fig, axes = _figure(2.9)
    for (name, (share, error)), colour in zip(curves.items(), (theme.same, theme.other, theme.ink), strict=False):
        axes.plot(share, error, color=colour, linewidth=1.6, label=name)
    share, error = next(iter(curves.values()))
    ideal = np.maximum(error[0] - share, 0) / np.maximum(1 - share, 1e-9)
    axes.plot(share, ideal, color=theme.muted, linewidth=1, linestyle=":", label="if it knew its errors")
    axes.set(xlim=(0, share[-1]), ylim=(0, None), xlabel="share of answers withheld, least sure first", ylabel=label)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
    fig.legend(loc="outside right center")
    return fig


def reliability(counts: np.ndarray, theme: Theme) -> Figure:
    """How often `female` is right at each stated probability. counts: [bins, 3] of `metrics.calibration_counts`."""
    fig = Figure(figsize=(WIDTH * 0.72, 4.3), layout="constrained")
    axes, below = fig.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    number, probability, female = counts[counts[:, 0] > 0].T
    axes.plot([0, 1], [0, 1], color=theme.muted, linewidth=1, linestyle=":")
    axes.plot(probability / number, female / number, "o-", color=theme.same, linewidth=1.4, clip_on=False)
    left = 0.5 if axes.dataLim.x0 > 0.5 else 0
    axes.set(xlim=(left, 1), ylim=(0, 1), ylabel="share that is labelled female")
    edges = np.linspace(0, 1, len(counts) + 1)
    below.stairs(counts[:, 0], edges, fill=True, color=theme.same, alpha=0.5)
    below.set(ylabel="photos", xlabel="stated probability of female", yscale="log")
    below.yaxis.set_minor_locator(NullLocator())
    return fig


def confusion(counts: np.ndarray, truths: Sequence[str], answers: Sequence[str], theme: Theme) -> Figure:
    """Confusion matrix. counts: [truths, answers]."""
    fig = Figure(figsize=(1.6 + 1.25 * len(answers), 1.1 + 0.75 * len(truths)), layout="constrained")
    axes = fig.subplots()
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    colours = matplotlib.colors.LinearSegmentedColormap.from_list("", [theme.paper, theme.same])
    axes.imshow(share, cmap=colours, vmin=0, vmax=1.6, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        text = f"{count:,.0f}\n{100 * share[row, column]:.2f} %"
        axes.text(column, row, text, ha="center", va="center", color=theme.ink)
    axes.set_xticks(range(len(answers)), answers)
    axes.set_yticks(range(len(truths)), truths)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return fig


def _figure(height: float):
    fig = Figure(figsize=(WIDTH, height), layout="constrained")
    return fig, fig.subplots()


def _right_of(axes):
    """x in shares of the axes, y in data."""
    return axes.get_yaxis_transform()


def _styled(values: Mapping[str, object], theme: Theme):
    """(condition, value, line style) of each; `all` is dashed, and colours repeat with another dash after eight."""
    number = 0
    for condition, value in values.items():
        if condition == "all":
            yield condition, value, {"color": theme.muted, "linewidth": 2, "linestyle": "--"}
            continue
        style = ("-", ":", "-.")[number // len(theme.conditions) % 3]
        colour = theme.conditions[number % len(theme.conditions)]
        yield condition, value, {"color": colour, "linewidth": 1.5, "linestyle": style}
        number += 1
