"""The parts of a drawn head: each function paints one onto a `drawing.Canvas`.

`person` is what the identity fixes, `photo` what changes from photo to photo (`synthetic.py` draws both from seeds);
`place` is the head's pose (`drawing.pose`). Order of painting: body, hair behind, head, features, hair in front.
"""

import numpy as np

from facecom.synthetic.drawing import Canvas, ellipse, flat, mirror, on_face, smooth


def darker(colour, share: float):
    """share below 1 darkens, above 1 lightens towards white."""
    colour = np.asarray(colour, np.float64)
    return colour * share if share <= 1 else 255 - (255 - colour) * (2 - share)


def outline(person, grow: float = 0) -> np.ndarray:
    """Half of the face's outline, top to chin: [K, 2] corners for `smooth`."""
    width, chin = person.width + grow, person.chin + grow
    return np.array([
        [0, -65 - grow], [0.5 * width, -64 - grow], [0.93 * width, -50 - grow], [1.02 * width, -14],
        [width * (0.55 + 0.45 * person.jaw), 0.42 * chin], [width * person.jaw * 0.82, 0.78 * chin],
        [width * person.chin_width, 1.03 * chin], [0, 1.05 * chin],
    ])  # fmt: skip


def body(canvas: Canvas, person, photo, centre) -> None:
    """Neck and clothes; they keep straight while the head moves."""
    shift = np.array([centre[0], centre[1]])
    neck = person.neck
    skin = darker(person.skin, 0.78)
    canvas.fill(mirror([[neck, 10], [neck, 52], [neck + 9, 72], [0, 92]]) + shift, skin)
    shoulder = person.shoulder
    top = 60 + person.chin - 46
    coat = smooth(np.vstack([
        [[neck * 0.9, top - 2], [neck + 16, top + 7], [shoulder, top + 26], [shoulder + 14, 170]],
        [[-shoulder - 14, 170], [-shoulder, top + 26], [-neck - 16, top + 7], [-neck * 0.9, top - 2], [0, top + 16]],
    ]), rounds=2)  # fmt: skip
    canvas.fill(coat + shift, photo.cloth)
    if photo.outfit == "suit":
        canvas.fill(np.array([[neck, top], [0, top + 18], [-neck, top], [0, 150]]) + shift, (236, 238, 242))
        canvas.fill(np.array([[-5, top + 16], [5, top + 16], [9, 140], [-9, 140]]) + shift, photo.accent)
        for side in (-1, 1):
            lapel = np.array([[neck + 2, top + 1], [neck + 20, top + 14], [neck + 6, top + 40], [3, 140]])
            canvas.fill(lapel * [side, 1] + shift, darker(photo.cloth, 0.75))
            collar = np.array([[neck * 0.95, top - 5], [neck + 5, top + 6], [7, top + 26], [0, top + 15]])
            canvas.fill(collar * [side, 1] + shift, (250, 250, 252))
    elif photo.outfit == "shirt":
        for side in (-1, 1):
            collar = np.array([[neck * 0.95, top - 5], [neck + 12, top + 4], [13, top + 27], [0, top + 17]])
            canvas.fill(collar * [side, 1] + shift, darker(photo.cloth, 1.25))
        canvas.line(np.array([[0, top + 18], [0, 150]]) + shift, darker(photo.cloth, 0.7), 1)
    else:
        neckline = np.array([[neck * 0.9, top - 2], [neck * 0.6, top + 9], [0, top + 15]])
        canvas.line(np.vstack([neckline, (neckline * [-1, 1])[::-1]]) + shift, darker(photo.cloth, 0.75), 2.5)


def head(canvas: Canvas, person, place) -> None:
    """Ears and the skin of the face."""
    for side in (-1, 1):
        ear = ellipse(side * (person.width + 1), -4, 7 * person.ears, 13 * person.ears, side * 12)
        canvas.fill(place(flat(ear, -8)), darker(person.skin, 0.9))
        inner = ellipse(side * (person.width + 1.5), -4, 3.5 * person.ears, 8 * person.ears, side * 12)
        canvas.fill(place(flat(inner, -8)), darker(person.skin, 0.74))
        if person.earrings and person.hair_kind not in ("long", "wavy", "bob"):
            drop = ellipse(side * (person.width + 2), 13 * person.ears, 2.6, 3.4)
            canvas.fill(place(flat(drop, -6)), (236, 208, 120))
    canvas.fill(place(flat(smooth(mirror(outline(person))))), person.skin)


def cheeks(canvas: Canvas, person, photo, place) -> None:
    """Blush, the folds beside the mouth, the shadow under the lip, freckles."""
    for side in (-1, 1):
        for radius in (13, 10, 7):
            spot = ellipse(side * person.width * 0.56, 11, radius, radius * 0.8)
            canvas.fill(place(on_face(spot)), person.blush, 0.10)
        fold = [[side * (person.nose_width + 3), 6], [side * 17, 14], [side * 20, 24 + photo.smile]]
        depth = person.age * 0.7 + 0.06 * max(photo.smile, 0)
        canvas.line(place(on_face(smooth(fold, closed=False))), darker(person.skin, 0.72), 1, depth)
        bag = smooth([[side * 11, -11], [side * 18, -8], [side * 26, -12]], closed=False)
        canvas.line(place(on_face(bag)), darker(person.skin, 0.72), 1, person.age * 0.6)
    for row in range(3):
        crease = smooth([[-18, -40 - 6 * row], [0, -42 - 6 * row], [18, -40 - 6 * row]], closed=False)
        canvas.line(place(on_face(crease)), darker(person.skin, 0.8), 1, max(person.age - 0.35, 0) * 0.8)
    for x, y in person.freckles:
        canvas.fill(place(on_face(ellipse(x, y, 0.9, 0.9, count=8))), darker(person.skin, 0.68), 0.7)


def eyes(canvas: Canvas, person, photo, place) -> np.ndarray:
    """Both eyes and brows; returns their centres as float64 [2, 3] of the face, left one first."""
    centres = []
    skin, ink = person.skin, darker(person.hair, 0.45)
    for side in (-1, 1):
        x0, y0, half = side * person.eye_apart, person.eye_y, person.eye_width
        top, bottom = person.eye_height * photo.open_eyes, person.eye_height * (0.72 - 0.05 * photo.smile)
        u = np.linspace(-1, 1, 13)  # from the inner to the outer corner
        bow = np.sqrt(np.maximum(1 - np.abs(u) ** 2.2, 0))
        x = x0 + side * half * u
        slant = -person.eye_slant * u
        upper, lower = y0 + slant - top * bow, y0 + slant + bottom * bow
        socket = ellipse(x0, y0 - 2, half * 1.5, person.eye_height * 2.4)
        canvas.fill(place(on_face(socket)), darker(skin, 0.72), 0.22)
        almond = np.vstack([np.column_stack([x, upper]), np.column_stack([x, lower])[::-1]])
        canvas.fill(place(on_face(almond)), (240, 238, 234))
        for radius, colour in ((person.iris, person.eyes), (person.iris * 0.48, (18, 14, 14))):
            disc = ellipse(x0 + photo.gaze[0], y0 - 0.3 + photo.gaze[1], radius, radius)
            where = np.clip(side * (disc[:, 0] - x0) / half, -1, 1)
            disc[:, 1] = np.clip(disc[:, 1], np.interp(where, u, upper), np.interp(where, u, lower))
            canvas.fill(place(on_face(disc)), colour)
        spark = ellipse(x0 + photo.gaze[0] - 1.2, y0 - 1.4 + photo.gaze[1], 0.8, 0.8, count=8)
        canvas.fill(place(on_face(spark)), (255, 255, 255), min(1.0, photo.open_eyes))
        lashes = np.column_stack([x, upper - 0.4])
        canvas.line(place(on_face(lashes)), ink, person.lashes)
        if person.gender == "female":
            tip = np.array([lashes[-1], lashes[-1] + [side * 3, -2.2]])
            canvas.line(place(on_face(tip)), ink, person.lashes)
        crease = np.column_stack([x, upper - 2.4])[1:-1]
        canvas.line(place(on_face(crease)), darker(skin, 0.66), 1, person.crease)
        canvas.line(place(on_face(np.column_stack([x, lower + 0.4])[2:])), darker(skin, 0.6), 0.8, 0.6)
        brow(canvas, person, photo, place, side)
        centres.append([x0, y0 + 0.5 * (bottom - top), on_face([[x0, y0]])[0, 2]])
    return np.array(centres)


def brow(canvas: Canvas, person, photo, place, side: int) -> None:
    y0 = person.eye_y - person.brow_gap - photo.brow_raise
    thick, inner = person.brow_width, person.eye_apart - person.eye_width - 1
    outer = person.eye_apart + person.eye_width + 4
    peak = inner + 0.62 * (outer - inner)
    line = smooth([
        [inner, y0 + photo.frown], [peak, y0 - person.brow_arch], [outer, y0 + 2.2 + person.brow_tilt],
        [peak, y0 - person.brow_arch + thick], [inner, y0 + photo.frown + thick],
    ])  # fmt: skip
    canvas.fill(place(on_face(line * [side, 1], 2)), person.brow_colour, 0.92)


def nose(canvas: Canvas, person, photo, place) -> np.ndarray:
    """Returns the tip, float64 [3] of the face."""
    width, y = person.nose_width, person.nose_y
    shade = darker(person.skin, 0.72)
    lift = person.nose_length
    side = -1 if photo.light[0] > 0 else 1
    flank = smooth([
        [side * 2.5, person.eye_y], [side * 2.2, y - 14], [side * (width - 2.5), y - 2], [side * width, y + 4],
        [side * 3.5, y + 4], [side * 3, y - 6],
    ])  # fmt: skip
    depth = np.interp(flank[:, 1], [person.eye_y, y], [2, lift * 0.8])
    points = on_face(flank)
    points[:, 2] += depth
    canvas.fill(place(points), shade, 0.55)
    tip = on_face([[0, y]], lift)[0]
    ball = on_face(ellipse(0, y - 0.5, width * 0.5, 4.5), lift * 0.9)
    canvas.fill(place(ball), darker(person.skin, 1.22), 0.35)
    for edge in (-1, 1):
        wing = smooth([[edge * width * 0.9, y - 3], [edge * (width + 0.8), y + 1], [edge * width * 0.75, y + 5.2]],
                      closed=False)  # fmt: skip
        canvas.line(place(on_face(wing, lift * 0.45)), darker(person.skin, 0.6), 1.1, 0.8)
        hole = ellipse(edge * width * 0.46, y + 4.6, width * 0.24, 1.5, edge * -14)
        canvas.fill(place(on_face(hole, lift * 0.55)), darker(person.skin, 0.32), 0.85)
    return tip


def mouth(canvas: Canvas, person, photo, place) -> np.ndarray:
    """Returns the corners, float64 [2, 3] of the face, left one first."""
    y, half = person.mouth_y, person.mouth_width * (1 + 0.035 * photo.smile)
    gap, lift = photo.mouth_open, 0.75 * photo.smile
    corner = np.array([half, y - lift])
    upper, lower = person.lip_upper, person.lip_lower
    seam = [[half * 0.5, y + 0.15 * lift - 0.35 * gap], [0, y + 0.3 * lift - 0.45 * gap]]
    under = [[half * 0.5, y + 0.35 * lift + 0.75 * gap], [0, y + 0.5 * lift + gap]]
    bow = seam[1][1] - upper
    top = [[half * 0.45, seam[0][1] - upper * 0.95], [half * 0.16, bow - upper * 0.15], [0, bow + upper * 0.15]]
    below = [[half * 0.5, under[0][1] + lower * 0.85], [0, under[1][1] + lower]]

    def closed(first, second):
        """Between two lines from corner to middle, mirrored: a closed outline on the face."""
        line = [smooth(np.vstack([corner[None], np.array(part)]), closed=False, rounds=2) for part in (first, second)]
        left, right = (part * [-1, 1] for part in line), line
        left = list(left)
        return on_face(np.vstack([right[0], left[0][::-1], left[1], right[1][::-1]]), 1.5)

    if gap > 0.6:
        canvas.fill(place(closed(seam, under)), (70, 26, 28))
        teeth = [[half * 0.5, seam[0][1] + min(gap * 0.6, 3)], [0, seam[1][1] + min(gap * 0.7, 3.6)]]
        canvas.fill(place(closed(seam, teeth)), (238, 234, 226))
    canvas.fill(place(closed(top, seam)), darker(person.lips, 0.86))
    canvas.fill(place(closed(under, below)), person.lips)
    if gap <= 0.6:
        line = smooth(np.vstack([[-corner[0], corner[1]], [-seam[0][0], seam[0][1]], seam[1], seam[0], corner]),
                      closed=False)  # fmt: skip
        canvas.line(place(on_face(line, 1.5)), darker(person.lips, 0.45), 1)
    shadow = ellipse(0, below[1][1] + 3.5, half * 0.5, 1.8)
    canvas.fill(place(on_face(shadow)), darker(person.skin, 0.7), 0.3)
    return on_face(corner * np.array([[-1, 1], [1, 1]]), 1.5)
