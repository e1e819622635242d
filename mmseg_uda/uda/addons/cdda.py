"""CDDA: class-wise depth distribution alignment, an add-on of self-training."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.datasets.bank_source import bank_fingerprint
from mmseg_uda.datasets.batch import DomainBatch
from mmseg_uda.datasets.depth_bank import DepthBank
from mmseg_uda.datasets.published_depth_bank import open_published_bank
from mmseg_uda.errors import UserError
from mmseg_uda.models.losses import upscale
from mmseg_uda.uda.addon import AddOn, TrainingData, class_problems
from mmseg_uda.uda.components.depth_alignment import (
    WeightRules,
    reweight_by_class,
    reweight_by_first_row,
    weight_rules,
)
from mmseg_uda.uda.components.depth_guidance import (
    any_pair,
    guidance_loss,
    last_pair,
    make_guidance,
)
from mmseg_uda.uda.components.depth_similarity import DepthSimilarity, Match, distribution_tables
from mmseg_uda.uda.components.pseudo_labels import PseudoLabels
from mmseg_uda.uda.step import Losses, Step


@MODELS.register_module()
class CDDA(AddOn):
    """Uses the source crop whose classes lie at the same depths as those of the target image.

    A bank holds, for many source crops, the number of pixels per class and depth bin. If the most
    similar crop is similar enough to the target image (its pseudo-labels and its depth map):
    *re-weighting*: the weight of each class follows its similarity;
    *replacement*: the crop replaces the batch's source image in class mixing;
    *relabelling*: classes that the crop has and the pseudo-labels lack become soft labels,
    P(class | depth) of the crop, for one more student pass on the target images (*guidance*).

    It has no state of its own and draws no random numbers.

    Args:
        bank: folder of a :class:`DepthBank` (made by ``mmseg-uda depth-distributions``), or for
            published files the arguments of :func:`open_published_bank`.
        reweight_threshold: mean similarity above which an image is re-weighted and gets a new
            source image, at iteration 0.
        relabel_threshold: mean similarity above which an image is relabelled, at iteration 0.
        threshold_decay: both are lowered by it at every ``decay_interval``-th iteration.
        decay_begin, decay_end: first iteration that lowers them, and the first that no longer does.
        decay_interval: iterations.
        as_published: compute as the published code, not the paper: the class mask of re-weighting
            is read off the first row of pixels (needs square crops), and guidance happens if the
            last missing class of the last similar image has a soft label at an integer depth.
        guidance_weight: factor of the guidance loss, times the share of confident pixels.
        skip_classes: train ids whose weight is not changed (those that the source lacks).
        trust_above: class similarity above which confident pixels weigh 1.
        drop_below: class similarity below which pixels weigh 0; up to ``trust_above`` the weight
            grows linearly to 1.

    Raises:
        UserError: no such bank, or one with another number of classes; before training: a bank that
            was made with other data or sampling; at the first step: another crop size, or a target
            without depth maps.
    """

    needs_pseudo_labels = True

    def __init__(
        self,
        bank: str | Path | Mapping[str, str],
        reweight_threshold: float,
        relabel_threshold: float,
        threshold_decay: float = 0.0,
        decay_begin: int = 10000,
        decay_end: int = 40000,
        decay_interval: int = 1000,
        as_published: bool = False,
        guidance_weight: float = 0.1,
        skip_classes: Sequence[int] = (),
        trust_above: float = 0.75,
        drop_below: float = 0.1,
    ) -> None:
        super().__init__()
        published = isinstance(bank, Mapping)
        self.bank = open_published_bank(**bank) if published else DepthBank.open(bank)
        self.thresholds_at_start = (reweight_threshold, relabel_threshold)
        self.threshold_decay = threshold_decay
        self.decay = (decay_begin, decay_end, decay_interval)
        self.reweight_pixels = reweight_by_first_row if as_published else reweight_by_class
        self.guidance_switch = last_pair if as_published else any_pair
        self.guidance_weight = guidance_weight
        self.skip_classes = list(skip_classes)
        self.trust_above, self.drop_below = trust_above, drop_below

    def set_up(self, student: nn.Module) -> None:
        self.num_classes = student.num_classes
        self.bank.check(self.bank.crop_size, self.num_classes)
        skipped = torch.tensor([c in self.skip_classes for c in range(self.num_classes)])
        self.register_buffer('skipped', skipped, persistent=False)
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='The given NumPy array is not writable')
            counts = torch.from_numpy(self.bank.counts)  # it is only read
        self.similarity = DepthSimilarity(counts)

    def problems(self, data: TrainingData) -> Iterator[str]:
        yield from class_problems('CDDA.skip_classes', self.skip_classes, data.num_classes)
        if 'scale' in self.bank.fingerprint:  # published banks do not record how they were made
            expected = bank_fingerprint(data.dataset, len(self.bank))
            try:
                self.bank.check(expected['crop_size'], self.num_classes, expected)
            except UserError as error:
                yield str(error)

    def thresholds(self, iteration: int) -> tuple[float, float]:
        """Thresholds of re-weighting and relabelling at an iteration, counted from 0."""
        begin, end, interval = self.decay
        # The number of multiples of the interval from `begin` to the iteration, below `end`.
        times = max(min(iteration, end - 1) // interval - (begin - 1) // interval, 0)
        return tuple(start - self.threshold_decay * times for start in self.thresholds_at_start)

    @torch.no_grad()
    def reweight(self, step: Step, pseudo: PseudoLabels) -> PseudoLabels:
        """Find the most similar crop of each image; weigh classes by their similarity to it."""
        self._check(step)
        depth = step.batch.target.depth
        tables = distribution_tables(pseudo.labels, depth, self.num_classes)
        match = self.similarity.search(tables)
        to_reweight, to_relabel = (match.similarity > t for t in self.thresholds(step.iteration))
        self.replacements = torch.where(to_reweight, match.rows, -1)
        weight = self.guidance_weight * pseudo.weight
        self.guidance = make_guidance(
            match.tables, tables, depth, to_relabel, weight, self.guidance_switch
        )
        confident = pseudo.confidence >= (step.teacher.threshold or 0)
        rules = self._rules(match, to_reweight)
        weight = self.reweight_pixels(pseudo.labels, pseudo.weight, confident, rules)
        return replace(pseudo, weight=weight)

    def _rules(self, match: Match, images: Tensor) -> WeightRules:
        chosen = images.unsqueeze(1) & ~self.skipped
        return weight_rules(match.class_similarity, chosen, self.trust_above, self.drop_below)

    def before_mixing(self, step: Step) -> Iterator[Losses]:
        """The guidance pass, if it is due; then similar crops replace source images."""
        # The only host synchronisation of a step: the host needs the rows, to read the crops from
        # disk, and whether there is a pass.
        *rows, due = torch.cat((self.replacements, self.guidance.due.view(1))).tolist()
        if due:
            yield {'tgt.loss': self.guide(step)}
        step.pasted = self.replace_source(step, rows)

    def guide(self, step: Step) -> Tensor:
        """The guidance loss of a student pass on the target images, 0-dimensional."""
        target, labels, guidance = step.batch.target, step.pseudo.labels, self.guidance
        logits = upscale(step.student.train_pass(target.images).logits, labels.shape[1:])
        return guidance_loss(logits, labels, target.depth, guidance.soft, guidance.weight)

    def replace_source(self, step: Step, rows: list[int]) -> DomainBatch:
        """The source batch with images and labels of the bank's ``rows``; -1 keeps an image."""
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
        if self.reweight_pixels is reweight_by_first_row and size[0] != size[1]:
            raise UserError(
                f'CDDA: as_published needs square crops, these have {size} (h, w): set it to False'
            )
