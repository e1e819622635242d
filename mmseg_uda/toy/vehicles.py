"""Cars, vans, trucks, buses and trains: boxes with windows, wheels and lights."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .scene import FRONT, SIDE, Plane, Point, Scene


@dataclass(frozen=True, slots=True)
class Face:
    """A visible side of a box; coordinates on it are fractions s (along) and t (up)."""

    name: str  # rear, front, left or right
    corners: tuple[Point, Point, Point, Point]  # pixels: bottom left and right, top right and left

    def at(self, s: float, t: float) -> Point:
        """Pixel (column, row) of the point (s, t)."""
        (u0, v0), (u1, v1), (u2, v2), (u3, v3) = self.corners
        return (
            (1 - t) * ((1 - s) * u0 + s * u1) + t * ((1 - s) * u3 + s * u2),
            (1 - t) * ((1 - s) * v0 + s * v1) + t * ((1 - s) * v3 + s * v2),
        )

    def patch(self, s0: float, t0: float, s1: float, t1: float) -> list[Point]:
        """Rectangle from (s0, t0) to (s1, t1)."""
        return [self.at(s0, t0), self.at(s1, t0), self.at(s1, t1), self.at(s0, t1)]

    def disc(self, s: float, t: float, rs: float, rt: float) -> list[Point]:
        """Ellipse around (s, t) with radii rs and rt."""
        return [
            self.at(s + rs * math.cos(a), t + rt * math.sin(a)) for a in np.arange(0, 6.2, 0.63)
        ]


@dataclass(frozen=True, slots=True)
class Box:
    """A box in the world, in metres; its top may be smaller than its bottom (a car's cabin)."""

    x: float  # centre of the footprint
    z: float
    heading: float  # radians clockwise from straight ahead
    width: float
    length: float
    bottom: float
    top: float
    rear: float = 0.0  # inset of the top at the rear; below: at the front, at each side
    front: float = 0.0
    side: float = 0.0

    def corner(self, right: int, ahead: int, upper: bool) -> tuple[float, float, float]:
        """World point (x, y, z) of a corner; ``right`` and ``ahead`` are -1 or 1."""
        across = right * (self.width / 2 - (self.side if upper else 0))
        along = ahead * self.length / 2
        if upper:
            along -= self.front if ahead > 0 else -self.rear
        sin, cos = math.sin(self.heading), math.cos(self.heading)
        return (
            self.x + across * cos + along * sin,
            self.top if upper else self.bottom,
            self.z - across * sin + along * cos,
        )

    def nearest(self) -> float:
        """Distance z of the nearest corner."""
        sin, cos = abs(math.sin(self.heading)), abs(math.cos(self.heading))
        return self.z - (self.width * sin + self.length * cos) / 2

    def hull(self, scene: Scene) -> list[Point]:
        """Outline in the image, pixels."""
        points = [
            scene.camera.project(*self.corner(right, ahead, upper))
            for right in (-1, 1)
            for ahead in (-1, 1)
            for upper in (False, True)
        ]
        return convex_hull(points)

    def faces(self, scene: Scene) -> Iterator[Face]:
        """Yield the sides that the camera sees."""
        sin, cos = math.sin(self.heading), math.cos(self.heading)
        for name, (right, ahead) in _SIDES.items():
            normal = right * cos + ahead * sin, -right * sin + ahead * cos
            reach = self.width / 2 if right else self.length / 2
            middle = self.x + normal[0] * reach, self.z + normal[1] * reach
            if normal[0] * middle[0] + normal[1] * middle[1] >= 0:
                continue
            ends = [(right or end, ahead or end) for end in (-1, 1)]
            low = [scene.camera.project(*self.corner(*end, False)) for end in ends]
            high = [scene.camera.project(*self.corner(*end, True)) for end in ends]
            yield Face(name, (low[0], low[1], high[1], high[0]))


_SIDES = {'left': (-1, 0), 'right': (1, 0), 'rear': (0, -1), 'front': (0, 1)}


def convex_hull(points: list[Point]) -> list[Point]:
    """Return the corners of the convex hull (monotone chain)."""
    points = sorted(points)
    hull: list[Point] = []
    for sequence in (points, points[::-1]):
        chain: list[Point] = []
        for point in sequence:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        hull += chain[:-1]
    return hull


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def vehicle(
    scene: Scene, rng: np.random.Generator, kind: str, x: float, z: float, heading: float
) -> None:
    """Draw a ``car``, ``truck``, ``bus`` or ``train``; (x, z) is the centre of its footprint."""
    scene.instances += 1
    _VEHICLES[kind](scene, rng, x, z, heading)


def _car(scene: Scene, rng: np.random.Generator, x: float, z: float, heading: float) -> None:
    size = rng.uniform(0.95, 1.1)
    width, length, waist, roof = 1.8 * size, 4.2 * size, 0.92 * size, 1.48 * size
    van = rng.random() < 0.15
    body = Box(x, z, heading, width, length, 0.0, waist)
    back = 0.02 if van else 0.1  # offset of the cabin to the rear, as a fraction of the length
    cabin = Box(
        x - back * length * math.sin(heading),
        z - back * length * math.cos(heading),
        heading,
        width * 0.94,
        length * (0.94 if van else 0.68),
        waist,
        1.95 if van else roof,
        rear=0.1 if van else rng.uniform(0.2, 0.8),
        front=0.8,
        side=0.18,
    )
    paint = _Painter(scene, body, rng.random())
    paint.shadow()
    paint.outline(body, 'car', 'tyre')
    paint.outline(cabin, 'car', 'car')
    for face in cabin.faces(scene):
        paint.add(face.patch(0.07, 0.12, 0.93, 0.86), 'glass', face)
    for face in body.faces(scene):
        paint.add(face.patch(0, 0.3, 1, 1), 'car', face, shade=face.name in ('left', 'right'))
        if face.name in ('left', 'right'):
            paint.wheels(face, (0.19, 0.8), 0.33 / length, 0.33 / waist)
            continue
        lamp = 'taillight' if face.name == 'rear' else 'headlight'
        for s in (0.04, 0.8):
            paint.add(face.patch(s, 0.62, s + 0.16, 0.86), lamp, face)
        plate = face.patch(0.37, 0.36, 0.63, 0.5)
        scene.add(plate, 'license plate', 'plate', paint.plane)


def _truck(scene: Scene, rng: np.random.Generator, x: float, z: float, heading: float) -> None:
    length, height = rng.uniform(6, 9), rng.uniform(3.2, 3.8)
    ahead = math.sin(heading), math.cos(heading)
    whole = Box(x, z, heading, 2.5, length, 0.0, height)
    cargo = Box(x - 1.1 * ahead[0], z - 1.1 * ahead[1], heading, 2.5, length - 2.2, 0.0, height)
    shift = length / 2 - 1
    cab = Box(x + shift * ahead[0], z + shift * ahead[1], heading, 2.3, 2.0, 0.0, 2.7, front=0.3)
    paint = _Painter(scene, whole, rng.random())
    paint.shadow()
    for box in sorted((cargo, cab), key=Box.nearest, reverse=True):
        paint.outline(box, 'truck', 'tyre')
        for face in box.faces(scene):
            side = face.name in ('left', 'right')
            low = (0.9 if box is cargo else 0.4) / box.top
            material = 'truck' if box is cargo else 'cab'
            paint.add(face.patch(0, low, 1, 1), material, face, shade=side)
            if box is cab:
                paint.add(face.patch(0.12, 0.58, 0.88, 0.9), 'glass', face)
            if side:
                at = (0.5,) if box is cab else (0.15, 0.32)
                paint.wheels(face, at, 0.5 / box.length, 0.5 / box.top)
            elif face.name == 'rear' and box is cargo:
                paint.add(face.patch(0.49, low, 0.51, 1), 'tyre', face)
                for s in (0.02, 0.84):
                    paint.add(face.patch(s, 0.16, s + 0.14, 0.22), 'taillight', face)


def _bus(scene: Scene, rng: np.random.Generator, x: float, z: float, heading: float) -> None:
    box = Box(x, z, heading, 2.55, rng.uniform(9, 12), 0.0, 3.1)
    paint = _Painter(scene, box, rng.random())
    paint.shadow()
    paint.outline(box, 'bus', 'tyre')
    for face in box.faces(scene):
        side = face.name in ('left', 'right')
        paint.add(face.patch(0, 0.12, 1, 1), 'bus', face, shade=side)
        if side:
            for s in np.arange(0.03, 0.9, 0.12):
                paint.add(face.patch(s, 0.45, s + 0.105, 0.82), 'glass', face)
            paint.wheels(face, (0.2, 0.75), 0.5 / box.length, 0.17)
        else:
            paint.add(face.patch(0.08, 0.42, 0.92, 0.8), 'glass', face)
            paint.add(face.patch(0.25, 0.85, 0.75, 0.95), 'display', face)
            lamp = 'taillight' if face.name == 'rear' else 'headlight'
            for s in (0.03, 0.83):
                paint.add(face.patch(s, 0.2, s + 0.14, 0.28), lamp, face)


def _train(scene: Scene, rng: np.random.Generator, x: float, z: float, heading: float) -> None:
    box = Box(x, z, heading, 2.65, rng.uniform(18, 26), 0.0, 3.5, rear=0.3, front=0.3)
    paint = _Painter(scene, box, rng.random())
    paint.shadow()
    paint.outline(box, 'train', 'tyre')
    for face in box.faces(scene):
        side = face.name in ('left', 'right')
        paint.add(face.patch(0, 0.08, 1, 1), 'train', face, shade=side)
        paint.add(face.patch(0, 0.1, 1, 0.3), 'stripe', face, shade=side)
        if side:
            for s in np.arange(0.02, 0.95, 0.0625):
                paint.add(face.patch(s, 0.45, s + 0.05, 0.8), 'glass', face)
        else:
            paint.add(face.patch(0.12, 0.45, 0.88, 0.85), 'glass', face)
            for s in (0.08, 0.8):
                paint.add(face.patch(s, 0.2, s + 0.12, 0.27), 'headlight', face)


_VEHICLES = {'car': _car, 'truck': _truck, 'bus': _bus, 'train': _train}


class _Painter:
    """Adds the shapes of one vehicle, all at the depth of its nearest corner."""

    def __init__(self, scene: Scene, box: Box, tint: float) -> None:
        self.scene, self.box, self.tint = scene, box, tint
        self.plane: Plane = scene.camera.upright(max(box.nearest(), 1.0))

    def shadow(self) -> None:
        box = self.box
        wide = Box(box.x, box.z, box.heading, box.width + 0.5, box.length + 0.5, 0.0, 1.0)
        corners = [wide.corner(*ends, False) for ends in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        self.scene.shadow([self.scene.camera.project(*corner) for corner in corners])

    def outline(self, box: Box, label: str, material: str) -> None:
        self.scene.add(box.hull(self.scene), label, material, self.plane, tint=self.tint)

    def add(self, points: list[Point], material: str, face: Face, *, shade: bool = False) -> None:
        facing = SIDE if shade else FRONT
        self.scene.add(points, '', material, self.plane, facing=facing, tint=self.tint)

    def wheels(self, face: Face, at: tuple[float, ...], rs: float, rt: float) -> None:
        for s in at:
            self.add(face.disc(s, rt, rs, rt), 'tyre', face)
            self.add(face.disc(s, rt, rs * 0.5, rt * 0.5), 'rim', face)
