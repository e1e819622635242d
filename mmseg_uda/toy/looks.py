"""The looks (visual styles) of the toy world as tables: objects, colours, light and camera.

A look imitates the style of one real data set. These tables alone set the domain gap: `LAYOUTS`
holds the class frequencies, `PALETTE` the colours, `LOOKS` texture, light, haze and sensor. The
more similar two columns of `PALETTE` or two rows of `LOOKS` are, the smaller the gap.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class District:
    """A kind of neighbourhood: what stands on the plots along the street."""

    row: dict[str, float]  # object on a plot -> relative frequency
    height: tuple[float, float]  # range of building heights, metres
    plot: tuple[float, float]  # range of plot lengths, metres
    setback: float  # largest distance from pavement to plots, metres
    green: float  # probability that open ground is grass
    skyline: float  # fraction of buildings (the rest: trees) on the horizon
    gables: bool


DISTRICTS = {
    'centre': District(
        row=dict(building=0.72, wall=0.1, fence=0.1, hedge=0.08),
        height=(9, 24), plot=(9, 22), setback=0.5, green=0.25, skyline=0.8, gables=False,
    ),
    'suburb': District(
        row=dict(building=0.36, wall=0.19, fence=0.21, hedge=0.16, open=0.08),
        height=(4, 8), plot=(8, 18), setback=3.0, green=0.8, skyline=0.4, gables=True,
    ),
    'outskirts': District(
        row=dict(building=0.08, wall=0.26, fence=0.26, hedge=0.24, open=0.16),
        height=(5, 14), plot=(12, 30), setback=4.0, green=0.95, skyline=0.25, gables=False,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """Camera and frequencies of objects. Pairs are ranges (lowest, highest)."""

    camera_height: tuple[float, float]  # metres
    horizon: tuple[float, float]  # fraction of the image height, from the top
    focal: tuple[float, float]  # fraction of the image width
    districts: dict[str, float]  # district -> relative frequency
    furniture: dict[str, float]  # object along the kerb -> relative frequency
    spacing: float  # mean distance between such objects, metres
    cars: float  # probability that a place in a lane is occupied
    parked: float  # probability that a parking place is occupied
    heavy: dict[str, float]  # probability of a truck, a bus (sampled twice per image)
    train: float  # probability of a train
    people: float  # mean number of groups
    cyclists: float  # mean number of people on bicycles
    bicycles: float  # mean number of parked bicycles
    motorcycles: float  # mean number of parked ones; also their probability in traffic
    terrain: bool = True
    hood: bool = False  # the camera car's bonnet is visible


_CITY = Layout(
    camera_height=(1.25, 1.5), horizon=(0.42, 0.48), focal=(0.8, 0.95),
    districts=dict(centre=0.62, suburb=0.24, outskirts=0.14),
    furniture=dict(lamp=0.26, light=0.15, sign=0.25, board=0.02, tree=0.24, clutter=0.08),
    spacing=6.0, cars=0.5, parked=0.6, heavy=dict(truck=0.06, bus=0.07), train=0.11,
    people=4.5, cyclists=0.8, bicycles=1.4, motorcycles=0.22, hood=True,
)  # fmt: skip
LAYOUTS = {
    'game': Layout(
        camera_height=(1.4, 1.8), horizon=(0.4, 0.48), focal=(0.72, 0.9),
        districts=dict(centre=0.45, suburb=0.25, outskirts=0.3),
        furniture=dict(lamp=0.36, light=0.16, sign=0.16, board=0.04, tree=0.2, clutter=0.08),
        spacing=8.0, cars=0.45, parked=0.3, heavy=dict(truck=0.1, bus=0.06), train=0.11,
        people=3.5, cyclists=0.5, bicycles=0.7, motorcycles=0.24,
    ),
    'sim': Layout(
        camera_height=(1.6, 2.6), horizon=(0.36, 0.46), focal=(0.7, 0.85),
        districts=dict(centre=0.75, suburb=0.2, outskirts=0.05),
        furniture=dict(lamp=0.34, light=0.16, sign=0.18, board=0.0, tree=0.28, clutter=0.04),
        spacing=7.0, cars=0.4, parked=0.3, heavy=dict(truck=0.0, bus=0.1), train=0.0,
        people=8.0, cyclists=0.8, bicycles=0.8, motorcycles=0.22, terrain=False,
    ),
    'city': _CITY,
    'night': _CITY,
}  # fmt: skip

# Colours of each material in each look; night uses the city's under another light. A shape's tint
# selects one of a cell's colours.
PALETTE = {
    # material         game                           sim               city
    'sky':            ('4a86cc 5a92d2 6a9cd0',        '6ea8e6 84b4e8',  'c2c8ce b0bac6 d2d4d4'),
    'sky horizon':    ('b8d2e6 c8d8e0',               'c4dcf0',         'dcdedc e2e0da'),
    'asphalt':        ('56585c 5c5a58 4c4e52',        '6e6c6a 787674',  '88827c 7a7672 948c84'),
    'parking':        ('5e5e60 545456',               '747270',         '807a76 8c8680'),
    'marking':        ('e4e4dc e0bc50',               'f0f0f0',         'd4d2cc c8c8c4'),
    'paving':         ('aaa498 b4aea2 9e988c',        'b89c8c c0a494',  '857a76 907a72 746e6c'),
    'kerb':           ('c8c4bc',                      'd0c8c0',         'a8a29c'),
    'gravel':         ('7c6e60',                      '7c6e60',         '6c625c'),
    'rail':           ('b0b0b0',                      'b0b0b0',         '989490'),
    'facade':         ('c49c6c a8644a d8c49c 8e5a48 b8a890', 'c0a488 a8785c d0c0a8 9098a4',
                       'b4aca4 c8c0b0 948e88 a89880 9ca4a8'),
    'plaster':        ('d0b48c b07858',               'c8b098',         'b8b0a8 a49c94'),
    'roof':           ('7c4434 5c5450',               '94503c',         '5c504c 70544c'),
    'window':         ('2c3844 384858',               '38485c',         '4c545a 3c4044'),
    'wall':           ('b0a48c 98907c a88c70',        'a89484 b4a898',  '8c8478 7c7670 968a80'),
    'fence':          ('6c4c34 80603c 94989c',        '74583c 8c8c8c',  '545e54 606468 746c64'),
    'pole':           ('3c4044 4c4e50',               '585c60 888c90',  '70787a 888c8a 5c6462'),
    'trunk':          ('5c4430 6c5038',               '64482c',         '4c443e 585048'),
    'foliage':        ('4a7c28 5c8c30 3c6c24 749434', '3c7c30 4c8c3c',
                       '4a5a3e 5a6444 404e38 6a6c48'),
    'bright foliage': ('6ca03c 7cac44',               '5ca44c',         '667650 727c54'),
    'grass':          ('98a050 a8a058 849448',        '98a050',         '66844a 74905a 848a58'),
    'car':            ('c43028 2c5cb0 e8e8e4 24262a d8a828 3c8454',
                       'd02c24 3060c8 f0f0f0 44a050 282828',
                       'b8bcc0 34363a e0e0e0 5c6066 6c2c2c 2c3c5c'),
    'truck':          ('e8e4dc d88034 3c7c84 a8a8a8', 'e8e4dc', 'd4d4d0 b8bcc0 4c6c94 8c8c84'),
    'cab':            ('c04838 e0e0dc 3858a0',        'c04838',         'd0d0d0 484c54 a84038'),
    'bus':            ('d4d4d8 b83830 3878b8',        'd84034 3c6cc0',  'd0a434 b84038 d8d8d4'),
    'train':          ('a8b0b8 c0c4c8',               'a8b0b8',         'b84440 3c64a0 d4ccb0'),
    'stripe':         ('2c5ca0 3c3c40',               '2c5ca0',         '3c4044 6c6c68'),
    'glass':          ('20282e 2c363e',               '28343e',         '30363a 464e54'),
    'tyre':           ('161618',                      '1c1c1c',         '242426'),
    'rim':            ('9a9c9e',                      '909090',         '848688'),
    'spokes':         ('6c7074',                      '7c7c7c',         '70706c'),
    'plate':          ('e0e0d0',                      'e8e8e8',         'dcdcd0'),
    'taillight':      ('b82018',                      'b82018',         '9c2820'),
    'headlight':      ('f0f0e8',                      'f0f0e8',         'e0e0dc'),
    'display':        ('181818',                      '181818',         '2c2418'),
    'bicycle':        ('b03028 28282c 3468a8',        'b03028 303030',  '303236 4c5054 5c3430'),
    'motorcycle':     ('a82820 202024 2c4c94',        'a82820 242424',  '28282c 4c2c2c 3c4450'),
    'jacket':         ('c43c34 e0e0dc 3460a8 d8b040 303034 4c8c54', 'd03830 3468c0 e8e8e8 50a058',
                       '2c2e34 4c545c 6c3434 34425c 8c8880 c0bcb4'),
    'trousers':       ('2c3c64 4c4c50 8c7c60 24242a', '2c3c70 4c4c4c',
                       '24262c 343c4c 4c4844 2c2c30'),
    'skin':           ('d4a888 a87858 6c4834',        'd8ac8c',         'c8a490 a07c68 6c5040'),
    'hair':           ('3c2c20 181614 6c5030',        '3c2c20',         '34302c 1c1a1a 80705c'),
    'helmet':         ('d8d8d8 c43028 202020',        'd8d8d8 d03028',  'c8c8c4 2c2c30 8c3430'),
    'signal':         ('c8a030 303230',               '303230',         '2c302e 3a3e3a'),
    'red light':      ('ff4030',                      'ff3020',         'f04838'),
    'amber light':    ('ffb030',                      'ffb030',         'f0a840'),
    'green light':    ('40e890',                      '30e070',         '50d0a0'),
    'dark light':     ('141614',                      '141614',         '1c201e'),
    'lamp':           ('e8e8e0',                      'e8e8e0',         'd8d8d4'),
    'blue sign':      ('28804c 2c64b0',               '2458c0',         '2c5ca4'),
    'red sign':       ('c82820',                      'd02018',         'b83430'),
    'yellow sign':    ('e8b020',                      'f0c820',         'd8b848'),
    'white sign':     ('f0f0ec',                      'f4f4f4',         'dcdcd8'),
    'clutter':        ('3c6c4c 7c7468 4c4c50',        '3c6c4c 7c7468',  '54585a 6c6458 3c4844'),
    'hood':           ('303438',                      '303438',         '24282c 3c4044'),
}  # fmt: skip
_COLUMNS = {'game': 0, 'sim': 1, 'city': 2, 'night': 2}


@dataclass(frozen=True)
class Look:
    """How a scene is rendered. Colours are RGB in [0, 1]; pairs are ranges, sampled per image."""

    sun: tuple[float, float]  # intensity of the direct light
    ambient: tuple[float, float, float]  # colour of the diffuse light
    sunlight: tuple[float, float, float]  # colour of the direct light
    shadow: float  # fraction of the light that a shadow removes
    texture: float  # strength of surface texture
    coarse: float  # fraction of coarse (the rest: fine) noise in the texture
    clouds: float  # cloud cover of the sky
    haze: tuple[float, float]  # extinction, 1/m
    haze_colour: tuple[float, float, float]
    exposure: tuple[float, float]
    contrast: float
    saturation: float
    white: tuple[float, float, float]  # gains of R, G, B (white balance)
    cast: float  # standard deviation of these gains between images
    blur: float  # Gaussian sigma in 1/256 of the image width
    shot: float  # shot noise at full brightness (grows with its square root)
    read: float  # read noise (constant)
    lit: bool = False  # lamps, windows and headlights emit light (night)


LOOKS = {
    'game': Look(
        sun=(0.45, 0.75), ambient=(0.56, 0.58, 0.62), sunlight=(1.0, 0.95, 0.84), shadow=0.42,
        texture=0.7, coarse=0.2, clouds=0.25, haze=(0.0005, 0.003), haze_colour=(0.74, 0.83, 0.9),
        exposure=(0.9, 1.1), contrast=1.1, saturation=1.15, white=(1.02, 1.0, 0.97), cast=0.01,
        blur=0.0, shot=0.0, read=0.006,
    ),
    'sim': Look(
        sun=(0.4, 0.9), ambient=(0.5, 0.5, 0.52), sunlight=(1.0, 1.0, 0.96), shadow=0.5,
        texture=0.35, coarse=0.6, clouds=0.1, haze=(0.0, 0.001), haze_colour=(0.8, 0.88, 0.95),
        exposure=(0.85, 1.15), contrast=1.0, saturation=1.3, white=(1.0, 1.0, 1.0), cast=0.02,
        blur=0.0, shot=0.0, read=0.0,
    ),
    'city': Look(
        sun=(0.05, 0.45), ambient=(0.76, 0.78, 0.8), sunlight=(1.0, 0.96, 0.9), shadow=0.28,
        texture=1.2, coarse=0.6, clouds=0.12, haze=(0.002, 0.008), haze_colour=(0.8, 0.82, 0.82),
        exposure=(0.8, 1.1), contrast=0.92, saturation=0.85, white=(0.97, 1.02, 0.97), cast=0.03,
        blur=0.45, shot=0.025, read=0.01,
    ),
    'night': Look(
        sun=(0.0, 0.02), ambient=(0.09, 0.095, 0.115), sunlight=(0.6, 0.7, 1.0), shadow=0.0,
        texture=1.2, coarse=0.6, clouds=0.1, haze=(0.002, 0.006), haze_colour=(0.07, 0.06, 0.06),
        exposure=(0.9, 1.3), contrast=0.95, saturation=0.8, white=(1.08, 1.0, 0.88), cast=0.04,
        blur=0.6, shot=0.05, read=0.025, lit=True,
    ),
}  # fmt: skip


def palette(look: str) -> dict[str, list[tuple[float, float, float]]]:
    """Return the colours of every material in a look, RGB in [0, 1]."""
    column = _COLUMNS[look]
    return {
        material: [tuple(byte / 255 for byte in bytes.fromhex(c)) for c in row[column].split()]
        for material, row in PALETTE.items()
    }
