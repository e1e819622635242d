"""Self-training with a mean teacher and class mixing: DACS, and with its parts DAFormer."""

from collections.abc import Iterator

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.models.data_preprocessor import UDABatch
from mmseg_uda.uda.augmentation import color_jitter, denormalise, gaussian_blur, normalise
from mmseg_uda.uda.class_mix import choose_classes, class_mask, label_presence, mix
from mmseg_uda.uda.draws import StepDraws
from mmseg_uda.uda.method import Losses, UDAMethod, prefixed
from mmseg_uda.uda.parts import Mixed, Part, Step
from mmseg_uda.uda.teacher import Teacher


@MODELS.register_module()
class SelfTraining(UDAMethod):
    """DACS (Tranheden et al., WACV 2021); the host of DAFormer, HRDA, MIC and CDDA.

    A step: learn from the source labels; let the teacher label the target images; paste half of the
    source classes onto them; learn from the mixed images, target pixels weighted by the share of
    confident pixels. DAFormer (Hoyer et al., CVPR 2022) is this with the parts
    ``feature_distance`` and ``margins``, rare class sampling in the data and a warm-up.

    Args:
        segmentor, data_preprocessor, seed: see :class:`UDAMethod`.
        alpha: upper limit of the teacher's EMA momentum.
        threshold: probability from which a pseudo-label counts as confident.
        jitter_strength: of the colour jitter on mixed images.
        jitter_threshold: jitter when a number U(0, 1) exceeds it.
        blur: whether to blur mixed images, half of the time.
        parts: name -> config of a :class:`Part`, called in this order.
    """

    def __init__(
        self,
        segmentor: dict,
        data_preprocessor: dict | None = None,
        seed: int = 0,
        alpha: float = 0.999,
        threshold: float = 0.968,
        jitter_strength: float = 0.2,
        jitter_threshold: float = 0.2,
        blur: bool = True,
        parts: dict[str, dict] | None = None,
    ) -> None:
        super().__init__(segmentor, data_preprocessor, seed)
        self.teacher = Teacher(self.student, alpha, threshold)
        self.jitter_strength = jitter_strength
        self.jitter_threshold = jitter_threshold
        self.blur = blur
        self.parts: dict[str, Part] | nn.ModuleDict = nn.ModuleDict(
            {name: MODELS.build(part) for name, part in (parts or {}).items() if part}
        )
        for part in self.parts.values():
            part.set_up(self.student)
        self.pictures: Step | None = None
        self.keep_pictures = False

    def init_weights(self) -> None:
        self.student.init_weights()
        self.teacher.network.load_state_dict(self.student.state_dict())
        for part in self.parts.values():
            part.after_init(self.student)

    def passes(self, batch: UDABatch) -> Iterator[Losses]:
        source, target = batch.source, batch.target
        draws = self.draw(len(source.images))
        step = Step(batch, self.student, draws, self.iteration, draws.triggers())
        parts = self.parts.values()
        self.teacher.update(self.student, self.iteration)

        # Learn from the source labels.
        supervision = self.student.supervise(source.images, source.labels)
        losses = supervision.losses
        for part in parts:
            losses |= part.source_losses(step, supervision)
        del supervision
        yield losses
        del losses

        # The teacher labels the target images.
        step.pseudo = self.teacher.label(target.images)
        for part in parts:
            step.pseudo = part.refine(step, step.pseudo)

        # Learn from target images with source classes pasted onto them.
        step.mixed = self.mix_domains(step)
        step.mixed.images = self.strong_augment(step.mixed.images, step)
        supervision = self.student.supervise(
            step.mixed.images, step.mixed.labels, step.mixed.weight
        )
        losses = supervision.losses
        for part in parts:
            losses |= part.mixed_losses(step, supervision)
        self.pictures = step if self.keep_pictures else None
        del supervision
        yield prefixed(losses, 'mix.')
        del losses

        for part in parts:
            yield from part.passes(step)

    def draw(self, batch_size: int) -> StepDraws:
        """The random draws of this step."""
        return StepDraws(self.seed, self.iteration, batch_size)

    def mix_domains(self, step: Step) -> Mixed:
        """Paste half of the source classes of the batch onto each target image."""
        source, target, pseudo = step.batch.source, step.batch.target, step.pseudo
        keys = step.draws.class_keys().to(source.labels.device, non_blocking=True)
        chosen = choose_classes(label_presence(source.labels), keys)
        mask = class_mask(source.labels, chosen)
        return Mixed(
            mix(mask, source.images, target.images),
            mix(mask, source.labels, pseudo.labels),
            mix(mask, torch.ones_like(pseudo.weight), pseudo.weight),
        )

    def strong_augment(self, images: Tensor, step: Step) -> Tensor:
        """Colour jitter and blur; whether is drawn for the batch, how for each image."""
        jitter, blur = step.triggers
        if jitter > self.jitter_threshold:
            mean, std = self.data_preprocessor.mean, self.data_preprocessor.std
            rgb = denormalise(images, mean, std)
            jitters = step.draws.jitters(self.jitter_strength)
            rgb = [color_jitter(image[None], j) for image, j in zip(rgb, jitters, strict=True)]
            images = normalise(torch.cat(rgb), mean, std)
        if self.blur and blur > 0.5:
            images = gaussian_blur(images, step.draws.sigmas())
        return images
