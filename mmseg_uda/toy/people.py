"""People, bicycles and motorcycles: flat upright shapes that face the camera."""

import math
from collections.abc import Iterable

import numpy as np

from .scene import Point, Scene

Rng = np.random.Generator


class Cutout:
    """Draws polygons whose corners are metres right of and above a point on the ground."""

    def __init__(self, scene: Scene, x: float, z: float, *, mirror: bool = False) -> None:
        self.scene = scene
        self.plane = scene.camera.upright(z)
        self.foot = scene.camera.project(x, 0.0, z)
        self.scale = scene.camera.focal / z
        self.sign = -1 if mirror else 1

    def pixels(self, points: Iterable[Point]) -> list[Point]:
        """Convert corners from metres to pixels (column, row)."""
        u, v = self.foot
        across = self.scale * self.sign
        return [(u + across * px, v - self.scale * py) for px, py in points]

    def add(
        self, points: Iterable[Point], material: str, *, label: str = '', tint: float = 0.0
    ) -> None:
        """Add a polygon to the scene."""
        self.scene.add(self.pixels(points), label, material, self.plane, tint=tint)

    def shadow(self, half_width: float) -> None:
        """Add an elliptic shadow on the ground; ``half_width`` in metres."""
        u, v = self.foot
        rx, ry = half_width * self.scale, 0.18 * half_width * self.scale + 0.5
        self.scene.shadow(ellipse(u, v, rx, ry))


def ellipse(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360):
    """Return points along an elliptic arc from angle ``start`` to ``end`` (degrees)."""
    count = max(4, int(abs(end - start) / 30))
    angles = [math.radians(start + (end - start) * i / count) for i in range(count + 1)]
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def person(scene: Scene, rng: Rng, x: float, z: float, *, label: str = 'person') -> None:
    """Draw a standing or walking pedestrian, 1.5 to 1.9 m tall, at (x, z) metres."""
    scene.instances += 1
    h, stride = rng.uniform(1.5, 1.9), rng.uniform(0.03, 0.2)
    skin, top, bottom = rng.random(3)
    cut = Cutout(scene, x, z, mirror=rng.random() < 0.5)
    cut.shadow(0.35)

    def at(points):
        return [(px * h, py * h) for px, py in points]

    cut.add(
        at(
            [(-0.05, 1), (0.05, 1), (0.075, 0.94), (0.05, 0.87), (0.14, 0.82), (0.17, 0.5)]
            + [(0.12, 0.45), (stride + 0.05, 0.0), (stride - 0.05, 0.0), (0.01, 0.4)]
            + [(0.04 - stride, 0.0), (-0.06 - stride, 0.0), (-0.12, 0.45), (-0.17, 0.5)]
            + [(-0.14, 0.82), (-0.05, 0.87), (-0.075, 0.94)]
        ),
        'trousers',
        label=label,
        tint=bottom,
    )
    torso = [(-0.14, 0.83), (0.14, 0.83), (0.17, 0.5), (0.12, 0.46), (-0.12, 0.46), (-0.17, 0.5)]
    cut.add(at(torso), 'jacket', tint=top)
    cut.add(at(ellipse(0, 0.935, 0.065, 0.07)), 'skin', tint=skin)
    cut.add(at(ellipse(0, 0.95, 0.068, 0.06, 10, 170)), 'hair', tint=skin)


def two_wheeler(
    scene: Scene, rng: Rng, kind: str, x: float, z: float, *, ridden: bool, turn: float
) -> None:
    """Draw a ``bicycle`` or ``motorcycle`` at (x, z) metres, with a rider or parked.

    ``turn`` in [0, 1]: 0 = seen from behind, 1 = seen from the side.
    """
    scene.instances += 1
    cut = Cutout(scene, x, z, mirror=rng.random() < 0.5)
    cut.shadow(0.25 + 0.6 * turn)
    motor = kind == 'motorcycle'
    tint = rng.random()
    if turn < 0.4:
        _from_behind(cut, kind, tint)
    else:
        _from_the_side(cut, kind, turn, tint)
    if ridden:
        scene.instances += 1
        _rider(cut, rng, turn, motor)


def _from_behind(cut: Cutout, kind: str, tint: float) -> None:
    motor = kind == 'motorcycle'
    w, bar = (0.12, 0.4) if motor else (0.06, 0.3)
    seat = 2.4 * w
    cut.add(
        [(-bar, 1.05), (bar, 1.05), (bar, 0.95), (seat, 0.85), (seat, 0.5), (w, 0.4), (w, 0)]
        + [(-w, 0), (-w, 0.4), (-seat, 0.5), (-seat, 0.85), (-bar, 0.95)],
        kind,
        label=kind,
        tint=tint,
    )
    cut.add([(-w, 0), (w, 0), (w, 0.5), (-w, 0.5)], 'tyre')
    cut.add([(-w, 0.6), (w, 0.6), (w, 0.72), (-w, 0.72)], 'taillight')


def _from_the_side(cut: Cutout, kind: str, turn: float, tint: float) -> None:
    motor = kind == 'motorcycle'
    r, base = (0.32, 0.68 * turn) if motor else (0.35, 0.56 * turn)
    rx = r * turn
    rear = ellipse(-base, r, rx, r, 100, 320)
    front = ellipse(base, r, rx, r, 220, 440)
    if motor:
        upper = [(0.5, 0.95), (0.42, 1.12), (0.3, 1.08), (0.1, 0.98), (-0.3, 0.82), (-0.85, 0.85)]
        lower = [(-0.2, 0.18), (0.25, 0.18)]
    else:
        upper = [(0.45, 0.85), (0.42, 1.05), (0.32, 1.05), (0.28, 0.82), (-0.12, 0.8)]
        upper += [(-0.1, 0.98), (-0.34, 0.98), (-0.3, 0.75)]
        lower = [(-0.08, 0.28), (0.12, 0.28)]
    upper = [(turn * px, py) for px, py in upper]
    lower = [(turn * px, py) for px, py in lower]
    cut.add(rear + lower + front + upper, kind, label=kind, tint=tint)
    for middle in (-base, base):
        cut.add(ellipse(middle, r, rx, r), 'tyre')
        cut.add(ellipse(middle, r, rx * 0.75, r * 0.75), 'spokes')
    if motor:
        cut.add([(turn * px, py) for px, py in [(-0.15, 0.3), (0.3, 0.3), (0.2, 0.62)]], 'rim')


def _rider(cut: Cutout, rng: Rng, turn: float, motor: bool) -> None:
    skin, top, bottom = rng.random(3)
    q, lift = turn, -0.1 if motor else 0.0

    def at(points):
        return [(q * lean + px, py + lift) for lean, px, py in points]

    # corners in metres: forward (foreshortened by the turn), to the right, up
    cut.add(
        at(
            [(-0.25, -0.16, 0.8), (-0.12, -0.24, 1.4), (0.05, -0.08, 1.5), (0.08, -0.1, 1.7)]
            + [(0.1, 0, 1.8), (0.12, 0.1, 1.7), (0.1, 0.08, 1.5), (0.12, 0.22, 1.42)]
            + [(0.45, 0.06, 1.1), (0.4, 0.02, 1.0), (0.15, 0.16, 1.12), (0.2, 0.15, 0.8)]
            + [(0.12, 0.16, 0.38), (0.0, 0.04, 0.38), (0, 0, 0.7), (-0.05, -0.1, 0.4)]
            + [(-0.1, -0.18, 0.4)]
        ),
        'trousers',
        label='rider',
        tint=bottom,
    )
    torso = [(-0.25, -0.17, 0.85), (-0.12, -0.24, 1.4), (0.05, -0.08, 1.52), (0.1, 0.08, 1.52)]
    torso += [(0.12, 0.22, 1.42), (0.42, 0.04, 1.08), (0.15, 0.17, 1.1), (0.05, 0.17, 0.85)]
    cut.add(at(torso), 'jacket', tint=top)
    head = [(q * 0.1 + px, py + lift) for px, py in ellipse(0, 1.67, 0.12, 0.14)]
    cut.add(head, 'helmet' if motor or skin < 0.5 else 'hair', tint=skin)
