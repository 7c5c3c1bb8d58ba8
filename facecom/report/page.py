"""One self-contained HTML page: pictures inside, nothing loaded from anywhere, light, dark and on paper."""

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

#: Longest side in pixels of a photo in the report.
THUMB = 144

#: Pixels of a figure a pixel of the page: sharp on paper and on fine screens.
PIXELS = 1.4

STYLE = """
:root { color-scheme: light dark; --ink: #1d1d21; --paper: #fff; --line: #dcdce2; --muted: #62626b; --tile: #f4f5f7;
  --accent: #1667b7; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #ececf1; --paper: #17181c; --line: #3b3c45; --muted: #a0a0aa; --tile: #22242a; --accent: #5aa9f0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 50rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .5rem; padding-top: .7rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p { margin: .5rem 0; }
.muted, figcaption, .count { color: var(--muted); font-size: .875rem; }
.notice { border-left: 4px solid var(--accent); background: var(--tile); padding: .6rem 1rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .75rem; margin: 1.2rem 0; }
.tile { background: var(--tile); border-radius: 8px; padding: .8rem 1rem; }
.tile b { display: block; font-size: 1.55rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { display: block; font-size: .875rem; }
figure { margin: 1rem 0; break-inside: avoid; }
figure img { display: block; max-width: 100%; height: auto; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .8125rem; font-variant-numeric: tabular-nums; width: 100%; }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: normal; white-space: nowrap; }
th:first-child, td:first-child, table.text th, table.text td { text-align: left; }
table.text td { overflow-wrap: anywhere; white-space: normal; }
th { white-space: normal; }
th { font-weight: 600; }
td small { display: block; color: var(--muted); font-size: .6875rem; white-space: nowrap; }
tr { break-inside: avoid; }
.errors { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: .75rem; }
.error { background: var(--tile); border-radius: 8px; padding: .75rem; font-size: .8125rem; line-height: 1.4;
  break-inside: avoid; }
.error b { display: block; margin-bottom: .4rem; }
.photos { display: flex; gap: .5rem; }
.photos div { flex: 1 1 0; min-width: 0; }
.photos img { display: block; max-width: 100%; height: 7rem; object-fit: contain; border-radius: 4px;
  margin-bottom: .3rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; font-size: .875rem; }
dt { font-weight: 600; }
dd { margin: 0; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
@media print {
  @page { size: A4; margin: 16mm 14mm; }
  body { padding: 0; max-width: none; font-size: 10.5pt; }
  h1, h2, h3 { break-after: avoid; }
  .tiles { grid-template-columns: repeat(4, 1fr); }
  .errors { grid-template-columns: 1fr 1fr; }
  .tile, .error { border: 1px solid var(--line); }
  .scroll { overflow: visible; }
}
"""


def document(title: str, body: Sequence[str]) -> str:
    """The whole page. title: plain text; body: HTML blocks."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def heading(text: str, level: int = 2) -> str:
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def tiles(values: Sequence[tuple[str, str, str]]) -> str:
    """(figure, what it says, its interval and count) each."""
    cells = (
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(text)}</span><span class="count">{escape(count)}</span>'
        "</div>"
        for value, text, count in values
    )
    return f'<div class="tiles">{"".join(cells)}</div>'


def figure(light: bytes, dark: bytes, alt: str, caption: str) -> str:
    """A PNG in both themes; on paper the light one."""
    width = round(Image.open(io.BytesIO(light)).width / PIXELS)
    return (
        "<figure><picture>"
        f'<source media="screen and (prefers-color-scheme: dark)" srcset="{_inline(dark, "png")}">'
        f'<img src="{_inline(light, "png")}" alt="{escape(alt)}" width="{width}"></picture>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def table(head: Sequence[str], lines: Sequence[Sequence[str | tuple[str, str]]], kind: str = "") -> str:
    """Cells are text, or (text, small text below)."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(_cell(cell) for cell in line)}</tr>" for line in lines)
    return f'<div class="scroll"><table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def errors(items: Sequence[tuple[str, Sequence[tuple[np.ndarray | None, str]]]]) -> str:
    """(what is wrong, [(photo RGB uint8 [H, W, 3] or None, what it is)]) each."""
    cards = []
    for title, photos in items:
        shown = "".join(f"<div>{_thumb(photo)}{_breakable(text)}</div>" for photo, text in photos)
        cards.append(f'<div class="error"><b>{escape(title)}</b><div class="photos">{shown}</div></div>')
    return f'<div class="errors">{"".join(cards)}</div>'


def definitions(terms: Sequence[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(term)}</dt><dd>{escape(text)}</dd>' for term, text in terms)}</dl>"


def _cell(cell: str | tuple[str, str]) -> str:
    if isinstance(cell, str):
        return f"<td>{escape(cell)}</td>"
    text, below = cell
    return f"<td>{escape(text)}<small>{escape(below)}</small></td>"


def _breakable(text: str) -> str:
    """Long file names break where their words do."""
    return escape(text).replace("_", "_<wbr>")


def _thumb(photo: np.ndarray | None) -> str:
    if photo is None:
        return ""
    image = Image.fromarray(photo)
    image.thumbnail((2 * THUMB, 2 * THUMB))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return f'<img src="{_inline(buffer.getvalue(), "jpeg")}" alt="">'


def _inline(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
