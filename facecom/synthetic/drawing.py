"""Drawing a head and shoulders from numbers: the pictures of `synthetic.py`.

Lengths are in pixels of a 224 px photo. The face's own coordinates are x to the viewer's right, y down, z towards the
viewer, with the origin between eyes and mouth; a pose carries them to the canvas.
"""

import cv2
import numpy as np

FRAME = 224

#: Drawn at twice the size and averaged down: lines get smooth edges, and subpixel landmarks stay true.
OVERSAMPLING = 2

#: Half axes of the ellipsoid on which the features lie (x, y, z).
HEAD = (46.0, 64.0, 38.0)


def smooth(points, closed: bool = True, rounds: int = 3) -> np.ndarray:
    """Corner cutting (Chaikin 1974): [K, D] corners -> a smooth line through their neighbourhood, float64 [M, D]."""
    points = np.asarray(points, np.float64)
    for _ in range(rounds):
        following = np.roll(points, -1, 0) if closed else points[1:]
        current = points if closed else points[:-1]
        cut = np.stack([0.75 * current + 0.25 * following, 0.25 * current + 0.75 * following], 1)
        cut = cut.reshape(-1, points.shape[1])
        points = cut if closed else np.vstack([points[:1], cut, points[-1:]])
    return points


def mirror(points) -> np.ndarray:
    """The right half (x >= 0, from top to bottom) and its mirror image: a closed outline."""
    points = np.asarray(points, np.float64)
    left = points[::-1] * np.array([-1.0] + [1.0] * (points.shape[1] - 1))
    return np.vstack([points, left])


def ellipse(x, y, half_width, half_height, tilt: float = 0, count: int = 32) -> np.ndarray:
    """Points [count, 2] of an ellipse; tilt in degrees."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    cosine, sine = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    u, v = half_width * np.cos(angle), half_height * np.sin(angle)
    return np.stack([x + u * cosine - v * sine, y + u * sine + v * cosine], 1)


def on_face(points, lift: float = 0, half_width: float = HEAD[0]) -> np.ndarray:
    """[K, 2] points of the face -> [K, 3] on its surface, `lift` above it; half_width: where it meets z = 0."""
    points = np.asarray(points, np.float64)
    inside = 1 - (points[:, 0] / half_width) ** 2 - (points[:, 1] / HEAD[1]) ** 2
    return np.column_stack([points, HEAD[2] * np.sqrt(np.maximum(inside, 0)) + lift])


def flat(points, z: float = 0) -> np.ndarray:
    """[K, 2] points -> [K, 3] in the plane at depth z."""
    points = np.asarray(points, np.float64)
    return np.column_stack([points, np.full(len(points), z)])


def pose(yaw: float, pitch: float, roll: float, scale: float, centre):
    """Function from the face's coordinates [K, 3] to the photo's [K, 2].

    Angles in degrees: yaw > 0 turns to the viewer's right, pitch > 0 looks down, roll > 0 tilts clockwise.
    centre: where the origin of the face comes to lie, in pixels of a 224 px photo.
    """
    yaw, pitch, roll = np.radians([yaw, pitch, roll])
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    tilt = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    matrix = scale * tilt @ (nod @ turn)[:2]
    origin = matrix @ np.array([0, 0, 0.8 * HEAD[2]])  # turn about the face, not about the neck: it stays in the middle

    def place(points):
        return np.asarray(points, np.float64) @ matrix.T - origin + np.asarray(centre)

    return place


class Canvas:
    """A picture that is painted on, layer by layer.

    pixels: float32 [S, S, 3], 0 to 255, S = 2 x size. A layer (`sheet`) is uint8 [S, S, 4]: colours multiplied by
    their cover, and the cover itself.
    """

    def __init__(self, size: int, pixels: np.ndarray):
        self.scale = OVERSAMPLING * size / FRAME
        self.side = OVERSAMPLING * size
        self.pixels = cv2.resize(pixels, (self.side, self.side), interpolation=cv2.INTER_CUBIC).astype(np.float32)
        self.sheet = np.zeros((self.side, self.side, 4), np.uint8)

    def _points(self, points) -> np.ndarray:
        """Photo coordinates -> OpenCV's fixed point numbers on the canvas (4 bits of fraction)."""
        return np.round(((np.asarray(points) + 0.5) * self.scale - 0.5) * 16).astype(np.int32)

    def fill(self, points, colour, cover: float = 1) -> None:
        """A polygon [K, 2] (pixels of a 224 px photo) on the sheet; colour RGB 0 to 255, cover 0 to 1."""
        self._paint(
            colour,
            cover,
            points,
            lambda target, corners, ink: cv2.fillPoly(target, [corners], ink, cv2.LINE_AA, shift=4),
        )

    def line(self, points, colour, width: float, cover: float = 1, closed: bool = False) -> None:
        """A line along [K, 2] points; width in pixels of a 224 px photo."""
        thickness = max(1, round(width * self.scale))
        self._paint(
            colour,
            cover,
            points,
            lambda target, corners, ink: cv2.polylines(target, [corners], closed, ink, thickness, cv2.LINE_AA, shift=4),
            margin=thickness,
        )

    def _paint(self, colour, cover, points, draw, margin: int = 1) -> None:
        corners = self._points(points)
        ink = (*(min(max(float(c), 0), 255) for c in colour), 255.0)
        if cover >= 1:
            draw(self.sheet, corners, ink)
            return
        low = np.clip(corners.min(0) // 16 - margin - 1, 0, self.side)
        high = np.clip(corners.max(0) // 16 + margin + 2, 0, self.side)
        part = self.sheet[low[1] : high[1], low[0] : high[0]]
        if part.size:
            painted = part.copy()
            draw(painted, (corners - low * 16).astype(np.int32), ink)
            cv2.addWeighted(painted, cover, part, 1 - cover, 0, dst=part)

    def settle(self, light: np.ndarray | float = 1) -> None:
        """Lay the sheet, lit by `light` (float32 [S, S] or a number), onto the pixels and take a fresh one."""
        colours = cv2.cvtColor(self.sheet, cv2.COLOR_RGBA2RGB)
        if np.ndim(light):
            lit = cv2.multiply(colours, cv2.merge([light] * 3), dtype=cv2.CV_32F)
        else:
            lit = colours * np.float32(light)
        through = cv2.merge([255 - self.sheet[..., 3]] * 3)
        self.pixels = np.asarray(cv2.multiply(self.pixels, through, scale=1 / 255, dtype=cv2.CV_32F), np.float32)
        self.pixels += lit
        self.sheet[:] = 0

    def finish(self) -> np.ndarray:
        """RGB float32 [size, size, 3]."""
        side = self.side // OVERSAMPLING
        return cv2.resize(self.pixels, (side, side), interpolation=cv2.INTER_AREA)


def shading(side: int, centre, half_axes, roll: float, direction, ambient: float) -> np.ndarray:
    """Lambert's light on an ellipsoid: float32 [side, side], about 1 where the light falls straight.

    centre, half_axes: in pixels of a 224 px photo; direction: towards the light (x, y, z); ambient: 0 to 1.
    """
    small = 56  # light changes slowly
    grid = (np.arange(small, dtype=np.float32) + 0.5) * (FRAME / small) - 0.5
    x, y = np.meshgrid(grid - centre[0], grid - centre[1])
    cosine, sine = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    across, down = (x * cosine + y * sine) / half_axes[0], (-x * sine + y * cosine) / half_axes[1]
    radius = np.sqrt(across**2 + down**2)
    shrink = np.minimum(1, 0.97 / np.maximum(radius, 1e-6))  # outside the head: as at its edge
    across, down = across * shrink, down * shrink
    normal = np.stack([across, down, np.sqrt(1 - np.minimum(across**2 + down**2, 0.99))], -1)
    direction = np.asarray(direction, np.float32) / np.linalg.norm(direction)
    light = ambient + (1 - ambient) * np.maximum(normal @ direction, 0)
    return cv2.resize(light.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
