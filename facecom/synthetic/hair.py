"""Hair, beards and glasses of the drawn heads; see `portrait.py`."""

import numpy as np

from facecom.synthetic.drawing import Canvas, ellipse, flat, mirror, on_face, smooth
from facecom.synthetic.portrait import darker, outline

#: Styles by gender: the drawing has to show it.
KINDS = {
    "male": ("short", "side", "crop", "quiff", "curly", "bald"),
    "female": ("long", "wavy", "bob", "bun", "fringe", "afro"),
}


def behind(canvas: Canvas, person, place) -> None:
    """What hangs or stands behind the head."""
    colour, width = darker(person.hair, 0.72), person.width
    volume = person.hair_volume
    if person.hair_kind in ("long", "wavy", "fringe", "bob"):
        end = {"bob": 40, "fringe": 78}.get(person.hair_kind, 92) + 4 * volume
        side = width + 5 + volume
        half = [[0, -68 - volume], [side * 0.55, -66 - volume], [side * 0.95, -50], [side + 3, -18], [side + 3, 18],
                [side + (2 if person.hair_kind == "bob" else 7), end * 0.75], [side * 0.9, end], [0, end]]  # fmt: skip
        canvas.fill(place(flat(smooth(mirror(half)), -22)), colour)
        if person.hair_kind == "wavy":
            for edge in (-1, 1):
                for step in range(6):
                    curl = ellipse(edge * (side + 2 + 3 * (step % 2)), -14 + 19 * step, 11, 12)
                    canvas.fill(place(flat(curl, -22)), colour)
    elif person.hair_kind == "bun":
        canvas.fill(place(flat(ellipse(0, -76 - volume, 17, 15), -10)), person.hair)
        canvas.line(place(flat(ellipse(0, -75 - volume, 12, 10), -10)), darker(person.hair, 0.7), 1.2, 0.7, closed=True)
        canvas.fill(place(flat(ellipse(0, -66 - volume, 12, 4), -9)), darker(person.hair, 0.6))
    elif person.hair_kind == "afro":
        radius = width + 18 + 2 * volume
        canvas.fill(place(flat(ellipse(0, -26, radius, radius * 0.95), -16)), colour)
        for angle in np.linspace(0, 2 * np.pi, 22, endpoint=False):
            puff = ellipse(radius * 0.93 * np.cos(angle), -26 + radius * 0.88 * np.sin(angle), 10, 10)
            canvas.fill(place(flat(puff, -16)), colour)


def _cap(person, hairline, volume: float, sides: float) -> np.ndarray:
    """Outer line over the skull from ear to ear, and the hairline back: [M, 3] of the face.

    hairline: [K, 2] points from the right temple to the left one; sides: y down to which the hair reaches.
    """
    width = person.width
    half = [[0, -67 - volume], [0.5 * width, -65 - volume], [0.92 * width + 0.3 * volume, -52 - 0.7 * volume],
            [width + 2 + 0.5 * volume, -26], [width + 2 + 0.3 * volume, -10], [width + 1, sides]]  # fmt: skip
    outer = smooth(np.vstack([(np.array(half) * [-1, 1])[::-1], half[1:]]), closed=False)
    return np.vstack([flat(outer, -2), on_face(smooth(hairline, closed=False), 1, width)])


def front(canvas: Canvas, person, place) -> None:
    """What lies over the skull and falls over the forehead."""
    kind, width, volume = person.hair_kind, person.width, person.hair_volume
    colour, line = person.hair, person.hairline
    temple = width * 0.93
    if kind == "bald":
        for edge in (-1, 1):
            patch = [[width + 1, -30], [width + 2, -10], [width * 0.97, 2], [width * 0.88, -14], [width * 0.9, -30]]
            canvas.fill(place(flat(smooth(np.array(patch) * [edge, 1]))), colour, 0.85)
        return
    sides = {"crop": -10, "short": -2, "quiff": -6, "side": 0, "curly": -6, "bun": -8, "afro": 0}.get(kind, 10)
    part = person.parting
    lines = {
        "crop": [[0.7 * width, line + 2], [0, line - 1], [-0.7 * width, line + 2]],
        "short": [[0.72 * width, line + 3], [0.3 * width, line + 5], [-0.3 * width, line + 5],
                  [-0.72 * width, line + 3]],
        "quiff": [[0.66 * width, line - 2], [0, line - 7], [-0.66 * width, line - 2]],
        "side": [[0.8 * width * part, line + 10], [0.2 * width * part, line - 1], [-0.45 * width * part, line - 7],
                 [-0.75 * width * part, line]],
        "fringe": [[0.8 * width, -24], [0.4 * width, -29], [0, -30], [-0.4 * width, -29], [-0.8 * width, -24]],
        "bun": [[0.6 * width, line - 3], [0, line - 7], [-0.6 * width, line - 3]],
    }  # fmt: skip
    parted = [[0.84 * width, line + 16], [0.5 * width, line + 2], [0.12 * width * part, line - 9],
              [-0.5 * width, line + 2], [-0.84 * width, line + 16]]  # fmt: skip
    middle = lines.get(kind, parted)
    if middle[0][0] < 0:
        middle = middle[::-1]
    side_line = 4 if kind in ("long", "wavy", "bob", "fringe") else 0
    right = [[width * 0.98, sides], [temple - side_line, -20]]
    hairline = [*right, *middle, *((np.array(right) * [-1, 1])[::-1])]
    high = {"crop": 0.3, "quiff": 1.6, "curly": 1.2, "afro": 1.5}.get(kind, 1) * volume
    cap = _cap(person, hairline, high, sides)
    canvas.fill(place(cap), colour, 0.88 if kind == "crop" else 1)
    if kind in ("curly", "afro"):
        for angle in np.linspace(np.pi * 1.02, np.pi * 1.98, 13):
            curl = ellipse((width + 1) * np.cos(angle), -22 + (42 + high) * np.sin(angle), 9, 9)
            canvas.fill(place(flat(curl, -1)), colour)
        for x in np.linspace(-0.7, 0.7, 8):
            canvas.fill(place(on_face(ellipse(x * width, line - 3 + 6 * x * x, 7, 6), 3)), colour)
    if kind in ("long", "wavy", "bob"):
        end = {"bob": 34}.get(kind, 62)
        for edge in (-1, 1):
            lock = [[width * 0.95, -34], [width + 5 + volume, -10], [width + 7, end], [width - 1, end + 8],
                    [width - 4, 14], [width * 0.84, -16]]  # fmt: skip
            canvas.fill(place(flat(smooth(np.array(lock) * [edge, 1]), 6)), colour)
    if kind not in ("crop", "curly", "afro"):
        strands(canvas, person, place, high)


def strands(canvas: Canvas, person, place, volume: float) -> None:
    """A few lighter and darker lines along the hair."""
    width = person.width
    for x, shade in person.strands:
        top = -60 - volume + 9 * abs(x)
        path = smooth([[x * width * 0.35 + 6 * person.parting, top], [x * width * 0.8, top + 8],
                       [x * width * 0.92, person.hairline - 11 + 14 * x * x]], closed=False)  # fmt: skip
        canvas.line(place(flat(path, 8)), darker(person.hair, shade), 1.2, 0.35)


def beard(canvas: Canvas, person, place) -> None:
    """`stubble`, `full`, `goatee`, `moustache` or `` (none); painted before the mouth."""
    kind, colour, y = person.beard, person.beard_colour, person.mouth_y
    if kind in ("full", "stubble"):
        cover = 0.95 if kind == "full" else 0.28
        edge = outline(person, grow=1.5 if kind == "full" else -0.5)[3:]
        cheek = [[person.width * 0.9, -12], [person.width * 0.9, -10], [person.width * 0.72, -2 + y * 0.3], [20, y - 2],
                 [9, y - 10], [0, y - 11]]  # fmt: skip
        half = np.vstack([flat(edge[::-1]), on_face(cheek, 0, person.width)])
        canvas.fill(place(smooth(mirror(half), rounds=2)), colour, cover)
        skin = ellipse(0, y + 1, person.mouth_width + 1, 7)
        canvas.fill(place(on_face(skin)), darker(person.skin, 0.9), 0.55)
    if kind == "goatee":
        chin = smooth(mirror([[0, y + 9], [11, y + 11], [10, person.chin - 1], [0, person.chin + 3]]))
        canvas.fill(place(on_face(chin)), colour, 0.92)
    if kind in ("moustache", "goatee"):
        end = person.mouth_width
        tash = mirror([[0, y - 10], [7, y - 11], [end, y - 3], [end - 1, y], [0, y - 5]])
        canvas.fill(place(on_face(smooth(tash), 1)), colour, 0.95)


def glasses(canvas: Canvas, person, place) -> None:
    if not person.glasses:
        return
    reach = 2.4 if person.glasses == "square" else 2.0
    half = min(person.eye_apart - 3, person.eye_width + 7)
    for side in (-1, 1):
        x, y = side * person.eye_apart, person.eye_y + 1
        angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        power = 2 / (4.5 if person.glasses == "square" else 2)
        rim = np.stack([x + half * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power,
                        y + (half - reach) * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power], 1)  # fmt: skip
        canvas.fill(place(on_face(rim, 5)), (225, 235, 245), 0.13)
        canvas.line(place(on_face(rim, 5)), person.frame, person.frame_width, closed=True)
        hinge = on_face([[side * (person.eye_apart + half), y - 2]], 5)
        arm = np.vstack([hinge, [[side * (person.width + 1), y - 4, -4]]])
        canvas.line(place(arm), person.frame, person.frame_width)
    gap = person.eye_apart - half
    bridge = smooth([[-gap, person.eye_y], [0, person.eye_y - 2.5], [gap, person.eye_y]], closed=False)
    canvas.line(place(on_face(bridge, 7)), person.frame, person.frame_width)
