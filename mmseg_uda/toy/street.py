"""Composes random street scenes: ground, houses, street furniture, traffic and people."""

import math
from collections.abc import Callable

import numpy as np

from . import people, roadside
from .looks import DISTRICTS, Layout
from .scene import GROUND, Camera, Point, Scene, Street
from .vehicles import vehicle

_NEAR, _FAR = 1.8, 130.0  # extent of the strips on the ground, metres
_STEPS = [float(z) for z in np.geomspace(_NEAR, _FAR, 12)]


def compose(rng: np.random.Generator, layout: Layout, size: tuple[int, int]) -> Scene:
    """Compose a random scene of a layout for an image of ``size`` (H, W) pixels."""
    return _Composer(rng, layout, size).run()


class _Composer:
    def __init__(self, rng: np.random.Generator, layout: Layout, size: tuple[int, int]) -> None:
        self.rng, self.layout = rng, layout
        height, width = size
        camera = Camera(
            size,
            height=rng.uniform(*layout.camera_height),
            focal=rng.uniform(*layout.focal) * width,
            horizon=rng.uniform(*layout.horizon) * height,
        )
        self.district = self.pick(list(layout.districts), list(layout.districts.values()))
        lanes = 4 if self.chance(0.35) else 2
        lane = rng.uniform(3.1, 3.7)
        half = lanes * lane / 2
        ego = (lanes / 2 - 0.5 - (lanes == 4 and self.chance(0.5))) * lane
        street = Street(
            start=-ego + rng.normal(0, 0.3),
            yaw=rng.normal(0, 0.035),
            curve=rng.normal(0, 0.0006),
            half_width=half,
            lane_width=lane,
        )
        self.scene = Scene(camera, street)
        self.lanes = lanes
        self.parking = 2.2 if self.chance(0.6) else 0.0
        self.walk = rng.uniform(2.5, 5.0)
        # distances from the centre line on each side (-1 = left, 1 = right), metres
        self.kerb = {side: half + self.parking for side in (-1, 1)}
        self.train = self.chance(layout.train)
        if self.train:
            self.kerb[-1] = half + 4.0
        self.front = {
            side: self.kerb[side] + self.walk + DISTRICTS[self.district].setback * rng.random()
            for side in (-1, 1)
        }
        self.sun = self.pick([-1, 1])
        self.standing: list[tuple[float, Callable[[], None]]] = []

    def run(self) -> Scene:
        self.sky_and_backdrop()
        self.ground()
        for side in (-1, 1):
            self.row(side)
        self.furniture()
        self.traffic()
        self.walkers()
        for _, draw in sorted(self.standing, key=lambda item: -item[0]):
            draw()
        if self.layout.hood:
            self.hood()
        return self.scene

    # -- small helpers

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def pick(self, options: list, weights: list[float] | None = None):
        weights = weights or [1.0] * len(options)
        draw = self.rng.random() * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            draw -= weight
            if draw < 0:
                return option
        return options[-1]

    def at(self, lateral: float, z: float) -> Point:
        """World (x, z) of a point ``lateral`` metres right of the centre line."""
        return lateral + self.scene.street.centre(z), z

    def later(self, z: float, draw: Callable, *args, **kwargs) -> None:
        """Queue an object; queued objects are drawn from far to near."""
        self.standing.append((z, lambda: draw(self.scene, self.rng, *args, **kwargs)))

    def strip(self, inner: float, outer: float, label: str, material: str) -> None:
        """Draw a band on the ground along the whole street, between two lateral positions."""
        project = self.scene.camera.project
        left = [project(self.at(inner, z)[0], 0, z) for z in _STEPS]
        right = [project(self.at(outer, z)[0], 0, z) for z in reversed(_STEPS)]
        plane = self.scene.camera.ground()
        self.scene.add(left + right, label, material, plane, facing=GROUND)

    # -- the steps of run()

    def sky_and_backdrop(self) -> None:
        scene, rng = self.scene, self.rng
        height, width = scene.camera.size
        canvas = [(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)]
        scene.add(canvas, 'sky', 'sky', (0.0, 0.0, 0.0), tint=rng.random())
        z, x = 160.0, -80.0 * width / scene.camera.focal - 20
        while x < 80.0 * width / scene.camera.focal + 20:
            scene.instances += 1
            step = rng.uniform(8, 25)
            if self.chance(DISTRICTS[self.district].skyline):
                high = rng.uniform(8, 32)
                roadside.upright(
                    scene, (x, z), (x + step, z), high, 'building', 'facade', tint=rng.random()
                )
            else:
                roadside.hedge(scene, rng, (x, z), (x + step, z), rng.uniform(5, 12))
            x += step * 0.9

    def ground(self) -> None:
        scene, layout = self.scene, self.layout
        height, width = scene.camera.size
        row = scene.camera.horizon + 0.5
        base = [(0, row), (width - 1, row), (width - 1, height - 1), (0, height - 1)]
        green = layout.terrain and self.chance(DISTRICTS[self.district].green)
        label, material = ('terrain', 'grass') if green else ('sidewalk', 'paving')
        if not green and self.chance(0.1):
            label = 'ground'
        scene.instances += 1
        scene.add(base, label, material, scene.camera.ground(), facing=GROUND)
        for side in (-1, 1):
            self.pavement(side)
        scene.instances += 1
        half = scene.street.half_width
        self.strip(-half, half, 'road', 'asphalt')
        self.shade()

    def pavement(self, side: int) -> None:
        """Draw the strips between the lanes and the plots on one side."""
        self.scene.instances += 1
        half, kerb = self.scene.street.half_width, self.kerb[side]
        verge = self.layout.terrain and self.chance(DISTRICTS[self.district].green * 0.5)
        if verge:  # grass between road and pavement
            self.strip(side * kerb, side * (kerb + 1.3), 'terrain', 'grass')
        inner = kerb + 1.3 * verge
        self.strip(side * inner, side * (kerb + self.walk), 'sidewalk', 'paving')
        self.strip(side * inner, side * (inner + 0.18), '', 'kerb')
        if self.train and side < 0:
            self.strip(-half, -kerb, 'rail track', 'gravel')
            for rail in (1.25, 2.7):
                self.strip(-half - rail, -half - rail - 0.12, '', 'rail')
        elif kerb > half:
            label = 'parking' if self.chance(0.15) else 'road'
            self.strip(side * half, side * kerb, label, 'parking')

    def shade(self) -> None:
        """Draw the shadow that the houses on one side cast on the street."""
        reach = self.front[self.sun]
        shade = reach - self.rng.uniform(2, 9)
        near, far = self.rng.uniform(_NEAR, 15), self.rng.uniform(20, 90)
        band = [(shade, near), (shade, far), (reach, far), (reach, near)]
        project = self.scene.camera.project
        self.scene.shadow([project(self.at(self.sun * x, z)[0], 0, z) for x, z in band])

    def row(self, side: int) -> None:
        """Draw houses, walls, fences, hedges and gaps along one side, from far to near."""
        rng, district = self.rng, DISTRICTS[self.district]
        ends = [rng.uniform(_NEAR, 6)]
        while ends[-1] < 120:
            ends.append(ends[-1] + rng.uniform(*district.plot))
        spread = 1.0 if self.district == 'centre' else 0.7
        for z1, z2 in zip(ends[-2::-1], ends[:0:-1], strict=True):
            kind = self.pick(list(district.row), list(district.row.values()))
            lateral = side * self.front[side]
            start, end = self.at(lateral, z1), self.at(lateral, z2)
            if kind == 'building':
                height = rng.uniform(*district.height)
                end = self.at(lateral, z1 + spread * (z2 - z1))
                gable = district.gables and self.chance(0.7)
                roadside.building(self.scene, rng, start, end, height, gable=bool(gable))
                continue
            behind = side * (self.front[side] + rng.uniform(4, 9))
            back = self.at(behind, z1), self.at(behind, z2)
            if self.chance(0.5):
                roadside.hedge(self.scene, rng, *back, rng.uniform(2.5, 7))
            elif kind != 'open' and self.chance(0.6):
                height = rng.uniform(*district.height)
                roadside.building(self.scene, rng, *back, height, gable=district.gables)
            self.scene.instances += 1
            if kind == 'hedge':
                roadside.hedge(self.scene, rng, start, end, rng.uniform(1.2, 6))
            elif kind in ('wall', 'fence'):
                high = rng.uniform(1.2, 2.6)
                roadside.upright(self.scene, start, end, high, kind, kind, tint=rng.random())

    def furniture(self) -> None:
        rng, layout = self.rng, self.layout
        for side in (-1, 1):
            edge = self.kerb[side] + 0.45
            z = rng.uniform(6, 16)
            while z < 90:
                x, _ = self.at(side * (edge + rng.uniform(0, 0.3)), z)
                kind = self.pick(list(layout.furniture), list(layout.furniture.values()))
                if kind == 'lamp':
                    self.later(z, roadside.street_lamp, x, z, -side)
                elif kind == 'light':
                    self.later(z, roadside.traffic_light, x, z, -side)
                elif kind == 'sign':
                    self.later(z, roadside.traffic_sign, x, z)
                elif kind == 'board':
                    self.later(z, roadside.sign_board, x + side * 1.2, z)
                elif kind == 'tree':
                    self.later(z, roadside.tree, x + side * 0.6, z)
                elif kind == 'clutter':
                    self.later(z, roadside.clutter, x + side * 0.4, z)
                z += rng.exponential(layout.spacing) + 1.5

    def traffic(self) -> None:
        street = self.scene.street
        heavy = self.layout.heavy
        specials = [k for k in ('truck', 'bus') for _ in range(2) if self.chance(heavy[k])]
        lanes = [(i + 0.5 - self.lanes / 2) * street.lane_width for i in range(self.lanes)]
        hosts = [self.pick(lanes) for _ in specials]
        for lateral in lanes:
            own = [kind for kind, host in zip(specials, hosts, strict=True) if host == lateral]
            self.lane(lateral, own)
        if self.train:
            middle = self.rng.uniform(19, 38)
            x, _ = self.at(-street.half_width - 2.0, middle)
            self.later(middle - 9, vehicle, 'train', x, middle, street.heading(middle))
        for side in (-1, 1):
            if self.parking and not (self.train and side < 0):
                self.parked(side)

    def lane(self, lateral: float, specials: list[str]) -> None:
        """Queue the traffic of one lane: the given trucks and buses, then cars and motorcycles."""
        rng, layout, street = self.rng, self.layout, self.scene.street
        ego = abs(street.start + lateral) < 1.5
        z = rng.uniform(9, 22) if ego else rng.uniform(5, 18)
        while z < 95:
            kind = specials.pop() if specials else 'car'
            length = {'car': 4.6, 'truck': 9.0, 'bus': 12.0}[kind]
            middle = z + length / 2
            heading = street.heading(middle) + (math.pi if lateral < 0 else 0.0)
            if kind == 'car' and self.chance(layout.motorcycles):
                turn = rng.uniform(0, 0.7)
                place = self.at(lateral + rng.normal(0, 0.4), z)
                self.cycle('motorcycle', place, ridden=True, turn=turn)
            elif kind != 'car' or self.chance(layout.cars):
                x, _ = self.at(lateral + rng.normal(0, 0.2), middle)
                self.later(z, vehicle, kind, x, middle, heading)
            z += length + 3 + rng.exponential(9)

    def parked(self, side: int) -> None:
        rng, street = self.rng, self.scene.street
        z = rng.uniform(5, 9)
        while z < 80:
            if self.chance(self.layout.parked):
                middle = z + 2.3
                x, _ = self.at(side * (street.half_width + 1.1), middle)
                turned = math.pi if side < 0 else 0.0
                self.later(z, vehicle, 'car', x, middle, street.heading(middle) + turned)
            z += 5.6

    def walkers(self) -> None:
        rng, layout, street = self.rng, self.layout, self.scene.street
        for _ in range(rng.poisson(layout.people)):
            z = 6 + rng.exponential(14)
            side = self.pick([-1, 1])
            lateral = side * (self.kerb[side] + rng.uniform(0.4, self.walk - 0.2))
            if self.chance(0.12):
                z, lateral = max(z, 11.0), rng.uniform(-1, 1) * street.half_width
            group = 1 + (rng.random() < 0.3) + 2 * (rng.random() < 0.06)
            label = 'persongroup' if group > 2 else 'person'
            for i in range(group):
                x, _ = self.at(lateral + 0.55 * i, z)
                self.later(z + 0.1 * i, people.person, x, z + 0.1 * i, label=label)
        for _ in range(rng.poisson(layout.cyclists)):
            side = self.pick([-1, 1])
            lateral = side * (street.half_width - rng.uniform(0.3, 0.9))
            place = self.at(lateral, rng.uniform(5.5, 20))
            self.cycle('bicycle', place, ridden=True, turn=rng.uniform(0, 1))
        for kind, mean in (('bicycle', layout.bicycles), ('motorcycle', layout.motorcycles)):
            for _ in range(rng.poisson(mean)):
                side = self.pick([-1, 1])
                lateral = side * (self.kerb[side] + rng.uniform(0.5, self.walk - 0.4))
                place = self.at(lateral, rng.uniform(5.5, 18))
                self.cycle(kind, place, ridden=False, turn=rng.uniform(0.3, 1))

    def cycle(self, kind: str, place: Point, *, ridden: bool, turn: float) -> None:
        x, z = place
        self.later(z, people.two_wheeler, kind, x, z, ridden=ridden, turn=turn)

    def hood(self) -> None:
        """Draw the camera car's bonnet, at the ground's depth to keep the depth range."""
        scene = self.scene
        height, width = scene.camera.size
        scene.instances += 1
        top = height * self.rng.uniform(0.9, 0.94)
        outline = [(0.08, 1.0), (0.2, 0.3), (0.5, 0.0), (0.8, 0.3), (0.92, 1.0)]
        points = [(x * (width - 1), top + y * (height - 1 - top)) for x, y in outline]
        scene.add(points, 'ego vehicle', 'hood', scene.camera.ground(), facing=GROUND)
