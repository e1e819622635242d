"""CDDA: class-wise depth distribution alignment, an add-on of self-training."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.datasets.bank_source import bank_fingerprint
from mmseg_uda.datasets.batch import DomainBatch
from mmseg_uda.datasets.depth_bank import DepthBank
from mmseg_uda.errors import UserError
from mmseg_uda.models.losses import upscale
from mmseg_uda.uda.addon import AddOn, Losses, Step, TrainingData, class_problems
from mmseg_uda.uda.addons.margins import IgnoreMargins, ValidRegion
from mmseg_uda.uda.components import depth_alignment
from mmseg_uda.uda.components.depth_alignment import (
    any_pair,
    class_given_depth,
    guidance_loss,
    last_pair,
    missing_classes,
)
from mmseg_uda.uda.components.depth_similarity import (
    DepthSimilarity,
    Match,
    depth_histograms,
    distribution_tables,
)
from mmseg_uda.uda.components.pseudo_labels import PseudoLabels


@dataclass
class Guidance:
    """What a step has found out for its guidance pass.

    Attributes:
        due: 0-dimensional int64, 1 or 0, the same on all ranks.
        soft: (B, C, 256), P(class | depth bin) of the classes that the pseudo-labels lack.
        relabelled: (B,) bool, images with such a class at one of their depths.
        weight: (B, H, W).
    """

    due: Tensor
    soft: Tensor
    relabelled: Tensor
    weight: Tensor


@MODELS.register_module()
class CDDA(AddOn):
    """Learns by the source crop whose classes lie at the same depths as the target image's.

    A bank holds pixels per class and depth bin of many source crops. Where a crop is similar enough
    to the target image (its pseudo-labels and its depth map), three things happen. *Re-weighting*:
    a class weighs as much as it is similar. *Replacement*: the crop takes the place of the batch's
    source image in the class mix. *Relabelling*: classes that the crop has and the pseudo-labels
    lack become soft labels, P(class | depth) of the crop, for one more student pass on the target
    images as they are (*guidance*).

    The add-ons for margins must come after it: they act on the re-weighted weights. It has no state
    of its own, and its draws are the host's.

    Args:
        bank: folder of a :class:`DepthBank` (``mmseg-uda depth-distributions`` makes it), or for
            the published form the arguments of :meth:`DepthBank.from_published`.
        reweight_threshold: mean similarity above which an image is re-weighted and gets a new
            source image; at iteration 0.
        relabel_threshold: mean similarity above which it is relabelled; at iteration 0.
        threshold_decay: by how much both are lowered at every ``decay_interval``-th iteration.
        decay_begin, decay_end: first iteration that lowers them, and the first that does no more.
        decay_interval: iterations.
        reweight_mask: 'class': a class's weight holds for all its pixels. 'first_row': as the
            published code, which reads the class mask off the first row of pixels; needs square
            crops.
        guidance_switch: 'any': guidance if any pixel is relabelled. 'last': as the published code,
            if the last missing class of the last similar image could be, at a depth that is an
            integer (images count over all ranks).
        guidance_weight: factor of the guidance loss, times the share of confident pixels.
        guidance_mask_margins: no guidance where the add-ons that follow set the weight to 0.
        guidance_per_image: guidance only for the images that are relabelled, not for the batch.
        skip_classes: train ids whose weight stays as it is (those that the source lacks).
        trust_above: class similarity above which confident pixels weigh 1.
        drop_below: class similarity below which pixels weigh 0; from here to ``trust_above`` the
            weight grows from 0 to 1.
        largest_soft_label: probabilities of 1 become this.

    Raises:
        UserError: no such bank, or one of another number of classes; before training: a bank that
            was made with other data or sampling; at the first step: another crop size, a target
            without depth maps, or margins before this add-on.
    """

    def __init__(
        self,
        bank: str | Path | Mapping[str, str],
        reweight_threshold: float,
        relabel_threshold: float,
        threshold_decay: float = 0.0,
        decay_begin: int = 10000,
        decay_end: int = 40000,
        decay_interval: int = 1000,
        reweight_mask: Literal['class', 'first_row'] = 'class',
        guidance_switch: Literal['any', 'last'] = 'any',
        guidance_weight: float = 0.1,
        guidance_mask_margins: bool = False,
        guidance_per_image: bool = False,
        skip_classes: Sequence[int] = (),
        trust_above: float = 0.75,
        drop_below: float = 0.1,
        largest_soft_label: float = 0.99999,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ('reweight_mask', reweight_mask, ('class', 'first_row')),
            ('guidance_switch', guidance_switch, ('any', 'last')),
        ):
            if value not in known:
                raise UserError(f'CDDA: {name} is {value!r}, it must be one of {known}')
        published = isinstance(bank, Mapping)
        self.bank = DepthBank.from_published(**bank) if published else DepthBank.open(bank)
        self.thresholds_at_start = (reweight_threshold, relabel_threshold)
        self.threshold_decay = threshold_decay
        self.decay = (decay_begin, decay_end, decay_interval)
        self.first_row = reweight_mask == 'first_row'
        self.last_pair = guidance_switch == 'last'
        self.guidance_weight = guidance_weight
        self.guidance_mask_margins = guidance_mask_margins
        self.guidance_per_image = guidance_per_image
        self.skip_classes = list(skip_classes)
        self.trust_above, self.drop_below = trust_above, drop_below
        self.largest_soft_label = largest_soft_label

    def set_up(self, student: nn.Module) -> None:
        self.num_classes = student.num_classes
        self.bank.check(self.bank.crop_size, self.num_classes)
        skipped = torch.tensor([c in self.skip_classes for c in range(self.num_classes)])
        self.register_buffer('skipped', skipped, persistent=False)
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='The given NumPy array is not writable')
            counts = torch.from_numpy(self.bank.counts)  # nothing writes to it
        self.similarity = DepthSimilarity(counts)

    def problems(self, data: TrainingData) -> Iterator[str]:
        yield from class_problems('CDDA.skip_classes', self.skip_classes, data.num_classes)
        if 'scale' in self.bank.fingerprint:  # a published bank does not say how it was made
            expected = bank_fingerprint(data.dataset, len(self.bank))
            try:
                self.bank.check(expected['crop_size'], self.num_classes, expected)
            except UserError as error:
                yield str(error)

    def thresholds(self, iteration: int) -> tuple[float, float]:
        """Thresholds of re-weighting and of relabelling at an iteration (counted from 0)."""
        begin, end, interval = self.decay
        # How many multiples of the interval lie between `begin` and the iteration, below `end`.
        times = max(min(iteration, end - 1) // interval - (begin - 1) // interval, 0)
        return tuple(start - self.threshold_decay * times for start in self.thresholds_at_start)

    @torch.no_grad()
    def refine(self, step: Step, pseudo: PseudoLabels) -> PseudoLabels:
        """Find the most similar crop of each image; weigh its classes by their similarity."""
        self._check(step)
        depth = step.batch.target.depth
        tables = distribution_tables(pseudo.labels, depth, self.num_classes)
        match = self.similarity.search(tables)
        to_reweight, to_relabel = (match.similarity > t for t in self.thresholds(step.iteration))
        self.replacements = torch.where(to_reweight, match.rows, -1)
        self.guidance = self._guidance(match, tables, depth, to_relabel, pseudo)
        confident = pseudo.confidence >= (step.teacher.threshold or 0)
        weight = self._reweight(match, to_reweight, pseudo, confident)
        return replace(pseudo, weight=weight)

    def before_mixing(self, step: Step) -> Iterator[Losses]:
        """The guidance pass, if it is due; then similar crops take the source images' places."""
        # The one look at the device's data in a step. The host must know which crops to read from
        # the disk, and whether there is a pass.
        *rows, due = torch.cat((self.replacements, self.guidance.due.view(1))).tolist()
        if due:
            yield {'tgt.loss': self._guidance_loss(step)}
        step.pasted = self.replace_source(step, rows)

    def replace_source(self, step: Step, rows: list[int]) -> DomainBatch:
        """The images and labels to paste: for each image the bank's crop of a row, -1 = its own."""
        source = step.pasted
        images, labels = list(source.images), list(source.labels)
        for place, row in enumerate(rows):
            if row >= 0:
                image, label = self.bank.crop(row)
                image = image.to(source.images, non_blocking=True)
                images[place] = (image - step.mean) / step.std
                labels[place] = label.to(source.labels, non_blocking=True)
        return replace(source, images=torch.stack(images), labels=torch.stack(labels))

    def _check(self, step: Step) -> None:
        target = step.batch.target
        if target.depth is None:
            raise UserError(
                'CDDA needs depth maps of the target images: set depth_dir in the target data set'
            )
        size = tuple(target.images.shape[2:])
        self.bank.check(size, self.num_classes)
        if self.first_row and size[0] != size[1]:
            raise UserError(
                f"CDDA: reweight_mask 'first_row' needs square crops, these have {size} (h, w): "
                "set it to 'class'"
            )
        if any(isinstance(addon, IgnoreMargins | ValidRegion) for addon in self._addons(step)[0]):
            raise UserError('CDDA: the add-ons for margins must come after it in model.addons')

    def _addons(self, step: Step) -> tuple[Sequence[AddOn], Sequence[AddOn]]:
        """The add-ons before this one, and those after it."""
        place = [addon is self for addon in step.addons].index(True)
        return step.addons[:place], step.addons[place + 1 :]

    def _reweight(
        self, match: Match, images: Tensor, pseudo: PseudoLabels, confident: Tensor
    ) -> Tensor:
        classes = depth_alignment.class_weights(
            match.class_similarity,
            images.unsqueeze(1) & ~self.skipped,
            self.trust_above,
            self.drop_below,
        )
        reweight = (
            depth_alignment.reweight_by_first_row if self.first_row else depth_alignment.reweight
        )
        return reweight(pseudo.labels, pseudo.weight, confident, classes)

    def _guidance(
        self, match: Match, tables: Tensor, depth: Tensor, images: Tensor, pseudo: PseudoLabels
    ) -> Guidance:
        missing = missing_classes(match.tables, tables) & images.unsqueeze(1)
        soft = class_given_depth(match.tables, self.largest_soft_label) * missing.unsqueeze(2)
        depths = depth_histograms(depth, whole_only=self.last_pair) > 0
        overlap = ((soft > 0) & depths.unsqueeze(1)).any(dim=2)
        due = last_pair(missing, overlap) if self.last_pair else any_pair(overlap)
        return Guidance(
            due,
            soft * overlap.unsqueeze(2),
            overlap.any(dim=1),
            self.guidance_weight * pseudo.weight,
        )

    def _guidance_loss(self, step: Step) -> Tensor:
        guidance, target, labels = self.guidance, step.batch.target, step.pseudo.labels
        weight = guidance.weight
        if self.guidance_per_image:
            weight = weight * guidance.relabelled.view(-1, 1, 1)
        if self.guidance_mask_margins:
            weight = weight * self._inside_margins(step)
        logits = upscale(step.student.training_logits(target.images), labels.shape[1:])
        return guidance_loss(logits, labels, target.depth, guidance.soft, weight)

    def _inside_margins(self, step: Step) -> Tensor:
        """What the add-ons that come after this one make of weights of 1: (B, H, W)."""
        pseudo = replace(step.pseudo, weight=torch.ones_like(step.pseudo.weight))
        for addon in self._addons(step)[1]:
            pseudo = addon.refine(step, pseudo)
        return pseudo.weight
