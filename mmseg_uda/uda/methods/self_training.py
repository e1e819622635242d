"""Self-training with a mean teacher and class mixing: DACS and, with add-ons, DAFormer."""

from collections.abc import Iterator

import torch
from mmseg.registry import MODELS

from mmseg_uda.datasets.batch import UDABatch
from mmseg_uda.uda.addon import TrainingData
from mmseg_uda.uda.components.class_mix import choose_classes, class_mask, label_presence, mix
from mmseg_uda.uda.components.strong_augmentation import StrongAugmentation
from mmseg_uda.uda.components.teacher import Teacher
from mmseg_uda.uda.method import UDAMethod, prefixed
from mmseg_uda.uda.step import Labelled, Losses, Step


@MODELS.register_module()
class SelfTraining(UDAMethod):
    """DACS (Tranheden et al., WACV 2021); the host of DAFormer, HRDA, MIC and CDDA.

    A step: supervised training on the source; the teacher labels the target images; half of the
    source classes are pasted onto them; the student is trained on the mixed images::

        loss = CE(f(x_s), y_s) + mean(w_m CE(f(augment(x_m)), y_m))
        x_m, y_m, w_m = M (x_s, y_s, 1) + (1 - M) (x_t, argmax p_t, q)

    with the teacher's probabilities p_t, the mask M of the pasted classes, and q, the share of
    pixels with max p_t >= threshold. DAFormer (Hoyer et al., CVPR 2022) adds the add-ons
    ``feature_distance`` and ``margins``, rare class sampling in the data, and a warm-up.

    Args:
        segmentor, data_preprocessor, seed, addons: see :class:`UDAMethod`.
        alpha: upper limit of the teacher's EMA momentum.
        threshold: probability from which a pseudo-label counts as confident; ``None``: all do.
        jitter_strength, jitter_threshold, blur: of the mixed images, see
            :class:`StrongAugmentation`.
    """

    makes_pseudo_labels = True

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
        self.strong_augmentation = StrongAugmentation(jitter_strength, jitter_threshold, blur)
        self.pictures: Step | None = None
        self.keep_pictures = False

    def init_weights(self) -> None:
        super().init_weights()
        self.student_loaded()

    def student_loaded(self) -> None:
        self.teacher.follow(self.student)

    def problems(self, data: TrainingData) -> Iterator[str]:
        yield from super().problems(data)
        if len(set(data.dataset.block)) > 1:
            yield (
                f'train_dataloader.dataset.block is {data.dataset.block}, but '
                f'{type(self).__name__} mixes one source image with each target image: use as '
                'many samples of the source as of the target'
            )
        if data.target_size is not None and data.target_size != data.source_size:
            source, target = ('x'.join(map(str, s)) for s in (data.source_size, data.target_size))
            yield (
                f'source images of {source} pixels cannot be mixed with target images of {target} '
                '(height x width): give both the same crop_size'
            )

    def begin(self, batch: UDABatch) -> Step:
        """Start a training step: the teacher follows the student."""
        self.teacher.update(self.student, self.iteration)
        step = super().begin(batch)
        step.teacher = self.teacher
        return step

    def passes(self, step: Step) -> Iterator[Losses]:
        yield self.supervise_source(step).losses
        step.pseudo = step.label_target()
        yield from self.learn_mixed(step)
        yield from self.further_passes(step)

    def learn_mixed(self, step: Step) -> Iterator[Losses]:
        """The pass on target images with pasted source classes, and the add-ons' before it."""
        for addon in step.addons:
            yield from addon.before_mixing(step)
        yield self.mixed_pass(step)

    def mixed_pass(self, step: Step) -> Losses:
        """The losses on class-mixed, strongly augmented images."""
        step.mixed = mixed = self.mix_domains(step)
        mixed.images = self.strong_augmentation(mixed.images, step.draws, step.mean, step.std)
        supervision = self.student.supervise(mixed.images, mixed.labels, mixed.weight)
        losses = supervision.losses
        for addon in step.addons:
            losses |= addon.mixed_losses(step, supervision)
        self.pictures = step if self.keep_pictures else None
        return prefixed(losses, 'mix.')

    def mix_domains(self, step: Step) -> Labelled:
        """Paste half of the source classes of the batch onto each target image."""
        source, target, pseudo = step.pasted, step.batch.target, step.pseudo
        keys = step.draws.class_keys().to(source.labels.device, non_blocking=True)
        chosen = choose_classes(label_presence(source.labels), keys)
        mask = class_mask(source.labels, chosen)
        return Labelled(
            mix(mask, source.images, target.images),
            mix(mask, source.labels, pseudo.labels),
            mix(mask, torch.ones_like(pseudo.weight), pseudo.weight),
        )
