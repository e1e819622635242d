"""Roadside objects: buildings, walls, fences, hedges, trees, poles, traffic lights and signs.

Positions are world coordinates (x, z), heights and widths are in metres.
"""

import math

import numpy as np

from .people import Cutout, ellipse
from .scene import FRONT, SIDE, Point, Scene

Rng = np.random.Generator
_SIGNS = ('blue sign', 'red sign', 'yellow sign', 'white sign')


def upright(
    scene: Scene,
    start: Point,
    end: Point,
    height: float,
    label: str,
    material: str,
    *,
    tint: float = 0.0,
    base: float = 0.0,
    rough: np.ndarray | None = None,
) -> None:
    """Draw an upright strip on the ground line from ``start`` (x, z) to ``end``.

    ``base`` is the height of its lower edge. ``rough`` is added to the height at equal image
    distances from start to end.
    """
    (x1, z1), (x2, z2) = start, end
    camera = scene.camera
    level = abs(z2 - z1) < 1e-6
    plane = camera.upright(z1) if level else camera.along(x1, z1, x2, z2)
    points = [camera.project(x1, base, z1), camera.project(x2, base, z2)]
    steps = [0.0] if rough is None else rough
    count = max(len(steps) - 1, 1)
    for i in range(count, -1, -1):
        s = i / count
        # equal steps in the image, not on the ground: else points crowd at the far end
        z = 1 / (s / z2 + (1 - s) / z1)
        share = s if level else (z - z1) / (z2 - z1)
        top = height + float(steps[min(i, len(steps) - 1)])
        points.append(camera.project(x1 + share * (x2 - x1), top, z))
    facing = FRONT if level else SIDE
    scene.add(points, label, material, plane, facing=facing, tint=tint)


def building(
    scene: Scene, rng: Rng, start: Point, end: Point, height: float, *, gable: bool
) -> None:
    """Draw a house whose front runs along the street from ``start`` (the nearer end) to ``end``."""
    scene.instances += 1
    tint = rng.random()
    (x1, z1), (x2, _) = start, end
    outward = math.copysign(rng.uniform(8, 14), x1)
    camera = scene.camera
    corner = (x1 + outward, z1)
    upright(scene, start, corner, height, 'building', 'facade', tint=tint)
    if gable:
        ridge = 0.4 * height
        middle = outward / 2
        roof = [camera.project(x1, height, z1), camera.project(x2, height, end[1])]
        roof += [
            camera.project(x2 + middle, height + ridge, end[1]),
            camera.project(x1 + middle, height + ridge, z1),
        ]
        plane = camera.along(x1, z1, x2, end[1])
        scene.add(roof, 'building', 'roof', plane, facing=SIDE, tint=tint)
        points = [camera.project(x1, height, z1), camera.project(x1 + middle, height + ridge, z1)]
        points.append(camera.project(x1 + outward, height, z1))
        scene.add(points, 'building', 'plaster', camera.upright(z1), tint=tint)
    upright(scene, start, end, height, 'building', 'facade', tint=tint)


def hedge(scene: Scene, rng: Rng, start: Point, end: Point, height: float) -> None:
    """Draw bushes or a line of trees along a ground line."""
    scene.instances += 1
    rough = height * (rng.random(14) - 0.5) * 0.35
    upright(scene, start, end, height, 'vegetation', 'foliage', tint=rng.random(), rough=rough)


def tree(scene: Scene, rng: Rng, x: float, z: float) -> None:
    """Draw a tree, 4 to 9 m tall."""
    scene.instances += 1
    height, tint = rng.uniform(4, 9), rng.random()
    cut = Cutout(scene, x, z)
    cut.shadow(1.2)
    w = 0.03 * height
    trunk = [(-w, 0), (w, 0), (w * 0.7, height * 0.55), (-w * 0.7, height * 0.55)]
    cut.add(trunk, 'trunk', label='vegetation', tint=tint)
    radius = height * rng.uniform(0.26, 0.34)
    bumps = radius * (0.8 + 0.4 * rng.random(14))
    angles = np.arange(14) * (2 * math.pi / 14)
    px = np.cos(angles) * bumps
    py = height - radius + np.sin(angles) * bumps
    crown = list(zip(px.tolist(), py.tolist(), strict=True))
    cut.add(crown, 'foliage', label='vegetation', tint=tint)
    light = ellipse(-0.25 * radius, height - 0.75 * radius, 0.5 * radius, 0.4 * radius)
    cut.add(light, 'bright foliage', tint=tint)


def street_lamp(scene: Scene, rng: Rng, x: float, z: float, inward: int) -> None:
    """Draw a lamp post, 5 to 8 m tall, with an arm over the road (at its left: ``inward`` = -1)."""
    scene.instances += 1
    height, arm, w = rng.uniform(5, 8), 1.6 * inward, 0.09
    cut = Cutout(scene, x, z)
    pole = [(-w, 0), (w, 0), (w, height - 0.15), (arm, height), (arm, height + 0.15)]
    pole += [(-w, height + 0.1)]
    tint = rng.random()
    cut.add(pole, 'pole', label='pole', tint=tint)
    head = [(0.5 * arm, height), (1.2 * arm, height), (1.2 * arm, height + 0.22)]
    cut.add(head + [(0.5 * arm, height + 0.22)], 'pole', label='pole', tint=tint)
    bulb = [(0.6 * arm, height - 0.03), (1.15 * arm, height - 0.03), (0.9 * arm, height + 0.1)]
    cut.add(bulb, 'lamp')
    scene.lamps.append((x + 0.9 * arm, height, z))


def traffic_light(scene: Scene, rng: Rng, x: float, z: float, inward: int) -> None:
    """Draw a traffic light on a post, with probability 1/2 with a second one on an arm."""
    scene.instances += 1
    cut = Cutout(scene, x, z)
    w = 0.08
    arm = rng.uniform(2, 4) * inward if rng.random() < 0.5 else 0.0
    height = 5.6 if arm else 3.4
    tint, state = rng.random(), int(rng.random() * 3)
    cut.add([(-w, 0), (w, 0), (w, height), (-w, height)], 'pole', label='pole', tint=tint)
    _signal(cut, 0.0, 2.5, state, tint)
    if arm:
        beam = [(0, height - 0.2), (arm, height - 0.1), (arm, height + 0.05), (0, height)]
        cut.add(beam, 'pole', label='pole', tint=tint)
        _signal(cut, arm, height - 0.85, state, tint)


def _signal(cut: Cutout, x: float, y: float, state: int, tint: float) -> None:
    box = [(x - 0.24, y), (x + 0.24, y), (x + 0.24, y + 1.15), (x - 0.24, y + 1.15)]
    cut.add(box, 'signal', label='traffic light', tint=tint)
    for i, colour in enumerate(('green', 'amber', 'red')):
        lamp = ellipse(x, y + 0.22 + 0.36 * i, 0.14, 0.14)
        cut.add(lamp, f'{colour} light' if i == state else 'dark light')


def traffic_sign(scene: Scene, rng: Rng, x: float, z: float) -> None:
    """Draw one or two round, triangular or square signs on a post."""
    scene.instances += 1
    cut = Cutout(scene, x, z)
    height, w = rng.uniform(2.3, 3.2), 0.06
    cut.add([(-w, 0), (w, 0), (w, height), (-w, height)], 'pole', label='pole', tint=rng.random())
    for level in range(1 + (rng.random() < 0.35)):
        y, r = height - 0.3 - 0.85 * level, rng.uniform(0.34, 0.46)
        form = int(rng.random() * 3)
        colour = _SIGNS[int(rng.random() * 4)]
        outline = (
            ellipse(0, y, r, r),
            [(-r, y - 0.8 * r), (r, y - 0.8 * r), (0, y + r)],
            [(-r, y - r), (r, y - r), (r, y + r), (-r, y + r)],
        )[form]
        cut.add(outline, colour, label='traffic sign')
        inner = [(0.6 * px, y + 0.6 * (py - y)) for px, py in outline]
        cut.add(inner, 'blue sign' if colour == 'white sign' else 'white sign')


def sign_board(scene: Scene, rng: Rng, x: float, z: float) -> None:
    """Draw a wide direction board on two posts."""
    scene.instances += 1
    cut = Cutout(scene, x, z)
    for foot in (-1.0, 1.0):
        post = [(foot - 0.07, 0), (foot + 0.07, 0), (foot + 0.07, 3), (foot - 0.07, 3)]
        cut.add(post, 'pole', label='pole')
    colour = _SIGNS[int(rng.random() * 3)]
    cut.add([(-1.4, 2), (1.4, 2), (1.4, 3.4), (-1.4, 3.4)], colour, label='traffic sign')
    for y in (2.35, 2.85):
        cut.add([(-1.1, y), (0.6, y), (0.6, y + 0.18), (-1.1, y + 0.18)], 'white sign')


def clutter(scene: Scene, rng: Rng, x: float, z: float) -> None:
    """Draw a bin or box, labelled ``static`` or ``dynamic`` (neither is evaluated)."""
    scene.instances += 1
    w, h = rng.uniform(0.3, 0.8), rng.uniform(0.7, 1.4)
    cut = Cutout(scene, x, z)
    cut.shadow(w)
    label = 'dynamic' if rng.random() < 0.25 else 'static'
    cut.add([(-w, 0), (w, 0), (w, h), (-w, h)], 'clutter', label=label, tint=rng.random())
    cut.add([(-w, h * 0.85), (w, h * 0.85), (w, h), (-w, h)], 'clutter', tint=rng.random())
