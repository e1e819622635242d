"""Renders a scene as an image: colours, surface texture, light, haze, lens and sensor."""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

from .looks import LOOKS, Look, palette
from .scene import GROUND, SIDE, Scene, pixel_grid

_SCALE = 2  # supersampling: a pixel is the average of 2 x 2 rendered ones
_TILE = 256  # texels along a side of a noise tile
Rng = np.random.Generator

# Texture strength of a material, relative to the look's.
_ROUGHNESS = {
    'asphalt': 0.1, 'parking': 0.1, 'paving': 0.1, 'gravel': 0.25, 'facade': 0.08, 'plaster': 0.08,
    'roof': 0.12, 'wall': 0.14, 'fence': 0.1, 'trunk': 0.2, 'foliage': 0.32, 'bright foliage': 0.32,
    'grass': 0.18, 'truck': 0.03, 'jacket': 0.08, 'trousers': 0.08, 'clutter': 0.08,
}  # fmt: skip
# Light that a material emits at night, RGB.
_GLOW = {
    'taillight': (0.9, 0.08, 0.05), 'headlight': (1.6, 1.5, 1.3), 'lamp': (2.2, 1.7, 1.0),
    'red light': (1.2, 0.15, 0.1), 'amber light': (1.1, 0.65, 0.1), 'green light': (0.15, 1.1, 0.6),
    'display': (0.8, 0.5, 0.1), 'glass': (0.03, 0.03, 0.025),
}  # fmt: skip


def render(scene: Scene, look: str, rng: Rng) -> np.ndarray:
    """Render a scene in a look (a key of ``LOOKS``): (H, W, 3) uint8 RGB."""
    return _Shot(scene, look, rng).develop()


class _Shot:
    """Buffers of one image on the supersampled grid; ``develop`` runs the steps in order."""

    def __init__(self, scene: Scene, look: str, rng: Rng) -> None:
        self.scene, self.rng = scene, rng
        self.look: Look = LOOKS[look]
        self.palette = palette(look)
        self.index = scene.picture_map(_SCALE)
        self.inverse = scene.inverse_depth(self.index, _SCALE)
        self.distance = 1 / self.inverse
        camera = scene.camera
        column, row = pixel_grid(self.index.shape, _SCALE)
        self.x = (column - camera.size[1] / 2) / camera.focal * self.distance
        self.y = camera.height - (row - camera.horizon) / camera.focal * self.distance
        facing = np.array([shape.facing for shape in scene.shapes], np.uint8)[self.index]
        self.on_ground = facing == GROUND
        # surface coordinates in metres: (x, z) on the ground, (z, y) along the street, else (x, y)
        self.s = np.where(facing == SIDE, self.distance, self.x)
        self.t = np.where(self.on_ground, self.distance, self.y)

    def develop(self) -> np.ndarray:
        """Return the image: (H, W, 3) uint8 RGB."""
        tone = self.texture()
        self.colour = self.albedo()[self.index]
        self.glow: np.ndarray | None = None
        if self.look.lit:
            glow = [_GLOW.get(shape.material, (0, 0, 0)) for shape in self.scene.shapes]
            self.glow = np.array(glow, np.float32)[self.index]
        for material, paint in _PATTERNS.items():
            self.on(material, paint)
        if self.look.shadow:
            dark = self.scene.shadow_map(_SCALE).astype(np.float32)
            dark = cv2.GaussianBlur(dark, (5, 5), 0) * self.on_ground
            tone *= 1 - self.look.shadow * dark
        self.colour *= tone[..., None]
        if self.look.lit:
            self.shine()
        self.air()
        return self.camera()

    def albedo(self) -> np.ndarray:
        """Return the lit colour of each shape: (shapes, 3) float32 RGB."""
        look, rng = self.look, self.rng
        sun = rng.uniform(*look.sun) * np.array(look.sunlight)
        ambient = np.array(look.ambient)
        bright_side = 1 if rng.random() < 0.5 else -1
        rows = np.empty((len(self.scene.shapes), 3), np.float32)
        for row, shape in zip(rows, self.scene.shapes, strict=True):
            colours = self.palette[shape.material]
            place = shape.tint * len(colours)
            share = 0.9 if shape.facing == GROUND else 0.75
            if shape.facing == SIDE:
                share = 0.8 if shape.plane[1] * bright_side > 0 else 0.3
            light = ambient + share * sun
            if shape.material == 'sky' and not look.lit:
                light = np.ones(3)  # by day the sky is the light source
            # the fractional part varies the brightness of shapes with the same colour
            row[:] = light * (0.88 + 0.24 * (place % 1)) * colours[int(place)]
        return rows

    def texture(self) -> np.ndarray:
        """Return brightness factors around 1, (h, w) float32: noise attached to the surfaces."""
        look = self.look
        rough = [_ROUGHNESS.get(shape.material, 0.0) for shape in self.scene.shapes]
        rough = np.array(rough, np.float32)[self.index] * look.texture
        fine, coarse = _noise_tiles()
        tone = (1 - look.coarse) * self.sample(fine, 14) + look.coarse * self.sample(coarse, 10)
        return 1 + rough * tone

    def sample(self, tile: np.ndarray, density: float) -> np.ndarray:
        """Sample a noise tile at every pixel: (h, w) float32; ``density`` in texels/m."""
        shift = self.rng.random(2) * _TILE
        column = (self.s * density + shift[0]).astype(np.int32) & (_TILE - 1)
        row = (self.t * density + shift[1]).astype(np.int32) & (_TILE - 1)
        return tile[row, column]

    def on(self, material: str, paint: Callable) -> None:
        """Call ``paint(self, where)`` with the flat indices of a material's pixels."""
        flags = np.array([shape.material == material for shape in self.scene.shapes])
        where = np.flatnonzero(flags[self.index])
        if where.size:
            paint(self, where)

    def blend(self, where: np.ndarray, share: np.ndarray, colour) -> None:
        """Mix a colour into pixels; ``share`` in [0, 1] is its weight per pixel."""
        flat = self.colour.reshape(-1, 3)
        flat[where] += share[:, None] * (np.asarray(colour, np.float32) - flat[where])

    def shade(self, where: np.ndarray, factor: np.ndarray) -> None:
        """Multiply pixels by a factor."""
        self.colour.reshape(-1, 3)[where] *= factor[:, None]

    def pick(self, material: str) -> np.ndarray:
        """Choose one of a material's colours, lit: (3,) float32 RGB."""
        colours = self.palette[material]
        colour = np.array(colours[int(self.rng.random() * len(colours))], np.float32)
        return colour * (np.array(self.look.ambient, np.float32) + 0.4 * np.mean(self.look.sun))

    def sharpness(self, where: np.ndarray, period: float) -> np.ndarray:
        """Return 1 where a pattern of this period (m) is resolved, falling to 0 with distance."""
        pixels = period * self.scene.camera.focal * self.inverse.ravel()[where]
        return np.clip(pixels / 2 - 0.5, 0, 1)

    def shine(self) -> None:
        """Add the light of headlights and street lamps (night), computed on a coarse grid."""
        step = 4
        x, y, z = (a[::step, ::step] for a in (self.x, self.y, self.distance))
        head = np.exp(-((x / (1.5 + 0.16 * z)) ** 2) - (np.maximum(y - 0.8, 0) / 1.2) ** 2)
        light = (head * 0.75 / (1 + (z / 14) ** 2))[..., None] * np.float32([1.0, 0.97, 0.9])
        for lamp in self.scene.lamps:
            far = (x - lamp[0]) ** 2 + (y - lamp[1]) ** 2 + (z - lamp[2]) ** 2
            light += (22 / (20 + far))[..., None] * np.float32([0.62, 0.46, 0.26])
        ambient = np.float32(self.look.ambient)
        size = self.index.shape[::-1]
        self.colour *= 1 + cv2.resize(light.astype(np.float32) / ambient, size)
        halo = cv2.resize(self.glow, None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_AREA)
        sigma = size[0] / step / 40
        halo = cv2.GaussianBlur(halo, (0, 0), sigma) + cv2.GaussianBlur(halo, (0, 0), sigma / 4)
        self.colour += 0.6 * self.glow + 0.7 * cv2.resize(halo, size)

    def air(self) -> None:
        """Add haze in front of everything but the sky, which has its own gradient."""
        density = self.rng.uniform(*self.look.haze)
        clear = np.exp(-density * self.distance)[..., None]
        haze = np.float32(self.look.haze_colour) * (1 - clear)
        sky = (self.index == 0)[..., None]
        self.colour = np.where(sky, self.colour, self.colour * clear + haze)

    def camera(self) -> np.ndarray:
        """Average down to the image size, then apply exposure, white balance, lens and sensor."""
        look, rng = self.look, self.rng
        height, width = self.scene.camera.size
        image = cv2.resize(self.colour, (width, height), interpolation=cv2.INTER_AREA)
        image *= np.float32(look.white) * np.float32(1 + look.cast * rng.standard_normal(3))
        image *= rng.uniform(*look.exposure)
        grey = 0.299 * image[..., 0] + 0.587 * image[..., 1] + 0.114 * image[..., 2]
        image = grey[..., None] + look.saturation * (image - grey[..., None])
        if not look.lit:
            image = (image - 0.5) * look.contrast + 0.5
        if look.blur:
            image = cv2.GaussianBlur(image, (0, 0), look.blur * width / 256)
        if look.shot or look.read:
            noise = rng.standard_normal(image.shape, np.float32)
            image += noise * np.sqrt(look.read**2 + look.shot**2 * np.clip(image, 0, 1))
        return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _noise_tiles() -> tuple[np.ndarray, np.ndarray]:
    """Fine and coarse noise: periodic, (256, 256) float32, unit variance before clipping."""
    rng = np.random.default_rng(19)
    frequency = np.hypot(*np.meshgrid(*(2 * [np.fft.fftfreq(_TILE)]), indexing='ij'))
    tiles = []
    for sigma in (0.22, 0.045):
        spectrum = np.fft.fft2(rng.standard_normal((_TILE, _TILE)))
        tile = np.fft.ifft2(spectrum * np.exp(-((frequency / sigma) ** 2))).real
        tiles.append((tile / tile.std()).clip(-2.5, 2.5).astype(np.float32))
    return tiles[0], tiles[1]


def _within(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return 1 where the fractional part of a value lies between two bounds, else 0."""
    value = value - np.floor(value)
    return ((value > low) & (value < high)).astype(np.float32)


def _sky(shot: _Shot, where: np.ndarray) -> None:
    row = where // shot.index.shape[1]
    horizon = shot.scene.camera.horizon * _SCALE
    low = np.clip(row / horizon, 0, 1).astype(np.float32) ** 1.5
    if shot.look.lit:
        shot.colour.reshape(-1, 3)[where] *= 0.35
        shot.blend(where, 0.9 * low, shot.look.haze_colour)
        return
    horizons = shot.palette['sky horizon']
    shot.blend(where, low, horizons[int(shot.rng.random() * len(horizons))])
    shape = (shot.index.shape[0] // 16 + 2, shot.index.shape[1] // 32 + 2)
    clouds = cv2.resize(shot.rng.random(shape, np.float32), shot.index.shape[::-1])
    clouds = np.clip(3 * clouds.ravel()[where] - 1.3, 0, 1)
    shot.blend(where, shot.look.clouds * 2 * clouds, (0.95, 0.95, 0.95))


def _asphalt(shot: _Shot, where: np.ndarray) -> None:
    street = shot.scene.street
    z = shot.distance.ravel()[where]
    lateral = shot.x.ravel()[where] - street.centre(z)
    lane = lateral / street.lane_width + 100.0
    offset = np.abs(lane - np.rint(lane)) * street.lane_width
    line = np.rint(lane) - 100
    edge = np.abs(np.abs(line) * street.lane_width - street.half_width) < 0.1
    half = np.where(edge, 0.12, 0.08)
    dashed = np.where(edge | (line == 0), 1.0, _within(z / 6.0, 0.0, 0.5))
    marking = (np.abs(offset - np.where(edge, 0.2, 0)) < half) * dashed
    shot.blend(where, 0.85 * marking.astype(np.float32), shot.pick('marking'))


def _facade(shot: _Shot, where: np.ndarray) -> None:
    s, t = shot.s.ravel()[where], shot.t.ravel()[where]
    index = shot.index.ravel()[where]
    tint = np.array([shape.tint for shape in shot.scene.shapes], np.float32)[index]
    wide = 1.8 + 2.2 * tint  # metres from window to window
    column, floor = s / wide + 7 * tint, t / 3.1
    share = _within(column, 0.2, 0.72) * _within(floor, 0.28, 0.82) * (t > 0.5)
    share *= shot.sharpness(where, 1.5)
    shot.blend(where, 0.85 * share, shot.pick('window'))
    shot.shade(where, 1 - 0.12 * _within(floor, 0.93, 1.0) * shot.sharpness(where, 1.5))
    if shot.glow is not None:
        cell = np.sin(np.floor(column) * 12.9898 + np.floor(floor) * 78.233 + index * 3.7) * 43758.5
        lit = share * (cell - np.floor(cell) < 0.2)
        shot.glow.reshape(-1, 3)[where] += lit[:, None] * np.float32([0.75, 0.55, 0.3])


def _paving(shot: _Shot, where: np.ndarray) -> None:
    s, t = shot.s.ravel()[where], shot.t.ravel()[where]
    joint = np.maximum(_within(s / 0.8, 0, 0.1), _within(t / 0.8, 0, 0.1))
    shot.shade(where, 1 - 0.22 * joint * shot.sharpness(where, 0.5))


def _wall(shot: _Shot, where: np.ndarray) -> None:
    s, t = shot.s.ravel()[where], shot.t.ravel()[where]
    course = np.floor(t / 0.3)
    joint = np.maximum(_within(t / 0.3, 0, 0.15), _within(s / 0.7 + 0.5 * course, 0, 0.07))
    shot.shade(where, 1 - 0.3 * joint * shot.sharpness(where, 0.3))


def _fence(shot: _Shot, where: np.ndarray) -> None:
    s, t = shot.s.ravel()[where], shot.t.ravel()[where]
    gap = _within(s / 0.36, 0.0, 0.45) * (1 - _within(t / 0.9, 0.3, 0.45))
    shot.shade(where, 1 - 0.6 * gap * shot.sharpness(where, 0.36))


_PATTERNS = {
    'sky': _sky, 'asphalt': _asphalt, 'facade': _facade, 'paving': _paving, 'wall': _wall,
    'fence': _fence,
}  # fmt: skip
