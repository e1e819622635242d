"""Self-training with a mean teacher and class mixing: DACS, and with its add-ons DAFormer."""

from collections.abc import Iterator

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.datasets.batch import UDABatch
from mmseg_uda.uda.addon import Mixed, Step, TrainingData
from mmseg_uda.uda.components.augmentation import gaussian_blur, jitter_normalised
from mmseg_uda.uda.components.class_mix import choose_classes, class_mask, label_presence, mix
from mmseg_uda.uda.components.teacher import Teacher
from mmseg_uda.uda.method import Losses, UDAMethod, prefixed


@MODELS.register_module()
class SelfTraining(UDAMethod):
    """DACS (Tranheden et al., WACV 2021); the host of DAFormer, HRDA, MIC and CDDA.

    A step: learn from the source labels; let the teacher label the target images; paste half of the
    source classes onto them; learn from the mixed images, target pixels weighted by the share of
    confident pixels. DAFormer (Hoyer et al., CVPR 2022) is this with the add-ons
    ``feature_distance`` and ``margins``, rare class sampling in the data and a warm-up.

    Args:
        segmentor, data_preprocessor, seed, addons: see :class:`UDAMethod`.
        alpha: upper limit of the teacher's EMA momentum.
        threshold: probability from which a pseudo-label counts as confident; ``None``: all do.
        jitter_strength: of the colour jitter on mixed images.
        jitter_threshold: jitter when a number U(0, 1) exceeds it.
        blur: whether to blur mixed images, half of the time.
    """

    def __init__(
        self,
        segmentor: dict,
        data_preprocessor: dict | None = None,
        seed: int = 0,
        alpha: float = 0.999,
        threshold: float | None = 0.968,
        jitter_strength: float = 0.2,
        jitter_threshold: float = 0.2,
        blur: bool = True,
        addons: dict[str, dict] | None = None,
    ) -> None:
        super().__init__(segmentor, data_preprocessor, seed, addons)
        self.teacher = Teacher(self.student, alpha, threshold)
        self.jitter_strength = jitter_strength
        self.jitter_threshold = jitter_threshold
        self.blur = blur
        self.pictures: Step | None = None
        self.keep_pictures = False

    def init_weights(self) -> None:
        super().init_weights()
        self.student_loaded()

    def student_loaded(self) -> None:
        self.teacher.network.load_state_dict(self.student.state_dict())

    def problems(self, data: TrainingData) -> Iterator[str]:
        yield from super().problems(data)
        if data.target_size is not None and data.target_size != data.source_size:
            source, target = ('x'.join(map(str, s)) for s in (data.source_size, data.target_size))
            yield (
                f'source images of {source} pixels cannot be mixed with target images of {target} '
                '(height x width): give both the same crop_size'
            )

    def passes(self, batch: UDABatch) -> Iterator[Losses]:
        step = self.begin(batch)

        # Learn from the source labels.
        yield self.supervise_source(step).losses

        # The teacher labels the target images.
        step.pseudo = step.label_target()

        for addon in step.addons:
            yield from addon.before_mixing(step)

        # Learn from target images with source classes pasted onto them.
        yield self.mixed_pass(step)

        yield from self.further_passes(step)

    def begin(self, batch: UDABatch) -> Step:
        """Start a step: make its draws, let the teacher follow the student."""
        self.teacher.update(self.student, self.iteration)
        step = super().begin(batch)
        step.triggers = step.draws.triggers()
        step.teacher = self.teacher
        return step

    def mixed_pass(self, step: Step) -> Losses:
        """The losses of the student's forward on mixed images, which it makes."""
        step.mixed = self.mix_domains(step)
        step.mixed.images = self.strong_augment(step.mixed.images, step)
        supervision = self.student.supervise(
            step.mixed.images, step.mixed.labels, step.mixed.weight
        )
        losses = supervision.losses
        for addon in step.addons:
            losses |= addon.mixed_losses(step, supervision)
        self.pictures = step if self.keep_pictures else None
        return prefixed(losses, 'mix.')

    def mix_domains(self, step: Step) -> Mixed:
        """Paste half of the source classes of the batch onto each target image."""
        source, target, pseudo = step.pasted, step.batch.target, step.pseudo
        keys = step.draws.class_keys().to(source.labels.device, non_blocking=True)
        chosen = choose_classes(label_presence(source.labels), keys)
        mask = class_mask(source.labels, chosen)
        return Mixed(
            mix(mask, source.images, target.images),
            mix(mask, source.labels, pseudo.labels),
            mix(mask, torch.ones_like(pseudo.weight), pseudo.weight),
        )

    def strong_augment(self, images: Tensor, step: Step, stream: int = 0) -> Tensor:
        """Colour jitter and blur; whether is drawn for the batch, how for each image.

        Args:
            stream: each of several calls in a step draws from a stream of its own.
        """
        jitter, blur = step.triggers
        if jitter > self.jitter_threshold:
            jitters = step.draws.jitters(self.jitter_strength, stream)
            images = torch.cat(
                [
                    jitter_normalised(image[None], jitter, step.mean, step.std)
                    for image, jitter in zip(images, jitters, strict=True)
                ]
            )
        if self.blur and blur > 0.5:
            images = gaussian_blur(images, step.draws.sigmas(stream))
        return images
