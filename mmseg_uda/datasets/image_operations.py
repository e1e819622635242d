"""Pillow's operations on 8-bit RGB images by name: what augmentation policies are made of.

An operation takes an image and one amount, in the unit of Pillow's argument. Policies draw the
amount, so that an operation can be reported, or applied to labels, with the amount that was drawn.
"""

from collections.abc import Callable

from PIL import Image, ImageEnhance, ImageOps

from mmseg_uda.datasets.fixed_size import adjust_colour

Operation = Callable[[Image.Image, float], Image.Image]


#: Operations without an amount ignore it.
OPERATIONS: dict[str, Operation] = {
    'autocontrast': lambda image, _: ImageOps.autocontrast(image),
    'equalize': lambda image, _: ImageOps.equalize(image),
    'invert': lambda image, _: ImageOps.invert(image),
    'posterize': lambda image, bits: ImageOps.posterize(image, int(bits)),  # bits that are kept
    'solarize': ImageOps.solarize,  # the threshold from which values are inverted
    'saturation': lambda image, factor: adjust_colour(image, 'saturation', factor),
    'contrast': lambda image, factor: adjust_colour(image, 'contrast', factor),
    'sharpness': lambda image, factor: ImageEnhance.Sharpness(image).enhance(factor),
}
