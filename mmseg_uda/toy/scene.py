"""A scene: flat shapes in perspective, drawn from far to near, with exact labels and depth.

Every shape is a polygon on a plane of the 3-D world. On a plane, inverse depth is affine in pixel
coordinates, so three numbers per shape give exact dense depth. A shape without a label is paint
(a window, a wheel): it appears in the image but not in the labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from .labels import label_id

GROUND, FRONT, SIDE = range(3)  # plane on the ground, facing the camera, along the street
FARTHEST = 400.0  # distance of the sky, metres

Point = tuple[float, float]
Plane = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Camera:
    """A level pinhole camera. World axes in metres: x right, y up from the ground, z ahead."""

    size: tuple[int, int]  # H, W in pixels
    height: float  # metres above the ground
    focal: float  # pixels
    horizon: float  # image row of the horizon

    def project(self, x: float, y: float, z: float) -> Point:
        """Project a world point with z > 0 to a pixel (column, row)."""
        scale = self.focal / z
        return self.size[1] / 2 + scale * x, self.horizon + scale * (self.height - y)

    def ground(self) -> Plane:
        """Ground plane (a, b, c): inverse depth = a + b * column + c * row, in 1/m."""
        slope = 1 / (self.focal * self.height)
        return -self.horizon * slope, 0.0, slope

    def upright(self, z: float) -> Plane:
        """Upright plane that faces the camera at distance z."""
        return 1 / z, 0.0, 0.0

    def along(self, x1: float, z1: float, x2: float, z2: float) -> Plane:
        """Upright plane through the ground points (x1, z1) and (x2, z2); z1 != z2."""
        slope = (x2 - x1) / (z2 - z1)
        start = x1 - slope * z1
        start = start if abs(start) > 0.1 else 0.1  # seen edge-on: any depth is fine
        return (
            (-self.size[1] / (2 * self.focal) - slope) / start,
            1 / (self.focal * start),
            0.0,
        )


@dataclass(frozen=True, slots=True)
class Shape:
    """A polygon (pixel coordinates), its label name ('' = paint), material and plane."""

    points: list[Point]
    label: str
    material: str
    plane: Plane
    facing: int
    instance: int
    tint: float  # in [0, 1): selects one of the material's colours


@dataclass(slots=True)
class Street:
    """Centre line of the road, x(z) = start + yaw z + curve z^2, and widths, in metres."""

    start: float
    yaw: float
    curve: float
    half_width: float
    lane_width: float

    def centre(self, z):
        """x of the centre line at distance z (a number or an array)."""
        return self.start + (self.yaw + self.curve * z) * z

    def heading(self, z: float) -> float:
        """Direction of the road at distance z, radians clockwise from straight ahead."""
        return float(np.arctan(self.yaw + 2 * self.curve * z))


@dataclass(slots=True)
class Scene:
    """Shapes in drawing order, and the shadows, lamps and street that the renderer needs."""

    camera: Camera
    street: Street
    shapes: list[Shape] = field(default_factory=list)
    shadows: list[list[Point]] = field(default_factory=list)
    lamps: list[tuple[float, float, float]] = field(default_factory=list)
    instances: int = 0

    def add(
        self,
        points: Sequence[Point],
        label: str,
        material: str,
        plane: Plane,
        *,
        facing: int = FRONT,
        tint: float = 0.0,
    ) -> None:
        """Add a polygon in front of all others, clipped to the image. Points are pixels (x, y)."""
        points = clip(points, self.camera.size)
        if len(points) >= 3:
            shape = Shape(points, label, material, plane, facing, self.instances, tint)
            self.shapes.append(shape)

    def shadow(self, points: Sequence[Point]) -> None:
        """Darken the ground, and nothing else, inside a polygon."""
        points = clip(points, self.camera.size)
        if len(points) >= 3:
            self.shadows.append(points)

    def polygons(self) -> list[tuple[str, list[tuple[int, int]]]]:
        """Return label name and integer corners of every labelled shape, in drawing order."""
        return [(shape.label, _whole(shape.points)) for shape in self.shapes if shape.label]

    def label_map(self) -> np.ndarray:
        """Return the index of the labelled shape visible at each pixel, (H, W) int32."""
        return self._draw(
            (index, _whole(shape.points))
            for index, shape in enumerate(self.shapes)
            if shape.label and label_id(shape.label) >= 0
        )

    def picture_map(self, scale: int) -> np.ndarray:
        """Return the index of the shape, paint included, at each pixel of a finer grid.

        (scale H, scale W) int32.
        """
        return self._draw(
            ((i, _whole(shape.points, scale)) for i, shape in enumerate(self.shapes)), scale
        )

    def shadow_map(self, scale: int) -> np.ndarray:
        """Return 1 inside shadows and 0 elsewhere, (scale H, scale W) int32."""
        return self._draw(((1, _whole(points, scale)) for points in self.shadows), scale)

    def label_ids(self, label_map: np.ndarray) -> np.ndarray:
        """Return Cityscapes label ids, (H, W) uint8, of a :meth:`label_map`."""
        ids = [label_id(shape.label) if shape.label else 0 for shape in self.shapes]
        return np.array([max(i, 0) for i in ids], np.uint8)[label_map]

    def instance_ids(self, label_map: np.ndarray) -> np.ndarray:
        """Return object numbers, (H, W) uint16, of a :meth:`label_map`."""
        return np.array([shape.instance for shape in self.shapes], np.uint16)[label_map]

    def inverse_depth(self, index_map: np.ndarray, scale: int = 1) -> np.ndarray:
        """Return inverse depth (h, w), float32 in 1/m, of an index map drawn at ``scale``."""
        planes = np.array([shape.plane for shape in self.shapes], np.float32).T
        a, b, c = (row[index_map] for row in planes)
        column, row = pixel_grid(index_map.shape, scale)
        return np.maximum(a + b * column + c * row, np.float32(1 / FARTHEST))

    def _draw(self, polygons, scale: int = 1) -> np.ndarray:
        height, width = self.camera.size
        canvas = Image.new('I', (width * scale, height * scale), 0)
        draw = ImageDraw.Draw(canvas)
        for value, points in polygons:
            draw.polygon(points, fill=value)
        return np.asarray(canvas)


def pixel_grid(shape: tuple[int, int], scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Return columns (1, w) and rows (h, 1) of a finer grid, float32 pixels of scale 1."""
    height, width = shape
    offset = (scale - 1) / 2
    column = (np.arange(width, dtype=np.float32)[None] - offset) / scale
    row = (np.arange(height, dtype=np.float32)[:, None] - offset) / scale
    return column, row


def clip(points: Sequence[Point], size: tuple[int, int]) -> list[Point]:
    """Clip a polygon to the image (Sutherland-Hodgman); empty if it lies outside."""
    for axis, bound in ((0, size[1] - 1), (1, size[0] - 1)):
        lowest = min(point[axis] for point in points)
        highest = max(point[axis] for point in points)
        if highest < 0 or lowest > bound:
            return []
        if lowest < 0:
            points = _cut(points, axis, 0, 1)
        if highest > bound:
            points = _cut(points, axis, bound, -1)
    return list(points)


def _cut(points: Sequence[Point], axis: int, bound: float, sign: int) -> list[Point]:
    kept = []
    before = points[-1]
    for point in points:
        inside = sign * (point[axis] - bound) >= 0
        if inside != (sign * (before[axis] - bound) >= 0):
            share = (bound - before[axis]) / (point[axis] - before[axis])
            kept.append(tuple(p + share * (q - p) for p, q in zip(before, point, strict=True)))
        if inside:
            kept.append(point)
        before = point
    return kept


def _whole(points: Sequence[Point], scale: int = 1) -> list[tuple[int, int]]:
    offset = (scale - 1) / 2 + 0.5  # to the finer grid, then round
    return [(int(u * scale + offset), int(v * scale + offset)) for u, v in points]
