"""Strong augmentation of a batch: colour jitter and blur, with random draws of the step."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mmseg_uda.uda.components.augmentation import gaussian_blur, jitter_normalised
from mmseg_uda.uda.components.draws import StepDraws


@dataclass(frozen=True)
class StrongAugmentation:
    """Colour jitter and Gaussian blur of normalised images (DACS, Tranheden et al., WACV 2021).

    Whether images are jittered or blurred is decided once for the batch.

    Args:
        jitter_strength: of the colour jitter, see :func:`draw_jitter`.
        jitter_threshold: images are jittered if a number U(0, 1) exceeds it.
        blur: blur images, half of the time.
        per_image: each image has its own order of colour operations and its own sigma; otherwise
            the batch shares them (MIC).
        stream: of the random draws of whether to augment; see :class:`StepDraws`.

    >>> images, zero, one = torch.ones(1, 3, 8, 8), torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
    >>> draws = StepDraws(seed=0, iteration=0, batch_size=1)
    >>> never = StrongAugmentation(jitter_threshold=1.0, blur=False)
    >>> never(images, draws, zero, one) is images
    True
    """

    jitter_strength: float = 0.2
    jitter_threshold: float = 0.2
    blur: bool = True
    per_image: bool = True
    stream: int = 0

    def __call__(
        self, images: Tensor, draws: StepDraws, mean: Tensor, std: Tensor, stream: int | None = None
    ) -> Tensor:
        """Augment images (B, 3, H, W).

        Args:
            mean, std: (3, 1, 1) in 0..255, with which the images were normalised.
            stream: of the random draws of how to augment; each call of a step needs its own.
        """
        stream = self.stream if stream is None else stream
        jitter, blur = draws.triggers(self.stream)
        if jitter > self.jitter_threshold:
            images = self._jittered(images, draws, mean, std, stream)
        if self.blur and blur > 0.5:
            sigmas = draws.sigmas(stream) if self.per_image else draws.common_sigma(stream)
            images = gaussian_blur(images, sigmas)
        return images

    def _jittered(
        self, images: Tensor, draws: StepDraws, mean: Tensor, std: Tensor, stream: int
    ) -> Tensor:
        if not self.per_image:
            jitter = draws.common_jitter(self.jitter_strength, stream)
            return jitter_normalised(images, jitter, mean, std)
        jitters = draws.jitters(self.jitter_strength, stream)
        jittered = [
            jitter_normalised(image[None], jitter, mean, std)
            for image, jitter in zip(images, jitters, strict=True)
        ]
        return torch.cat(jittered)
