"""Segmentor with further classifiers on earlier stages of the backbone."""

from collections.abc import Mapping
from functools import partial

from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.errors import UserError
from mmseg_uda.models.forward_pass import MAIN, ForwardPass, Levels, Supervision
from mmseg_uda.models.losses import upscale
from mmseg_uda.models.segmentors import Segmentor, no_loss_warning


@MODELS.register_module()
class MultiLevelSegmentor(Segmentor):
    """A :class:`Segmentor` with several classifiers (AdaptSegNet, Tsai et al., CVPR 2018; ADVENT).

    Each level is a classifier on a stage of the backbone. The level 'main' is ``decode_head``; its
    logits are the logits of the network. ``levels`` of a forward pass are those of all classifiers.
    The loss of labels is the sum over the levels, each times its weight (1 for 'main').

    ``test_cfg.level_factors``, a mapping from levels to factors, adds the logits of other levels to
    the prediction of :meth:`infer`: ``logits = main + sum_l factor_l * logits_l``. CaCo labels the
    target with ``dict(aux=1e-4)``, and evaluates its last network with ``dict(aux=0.5)``.

    Args:
        level_heads: name of a level -> config of its head, in the order of the stages.
        level_weights: name of a level -> weight of its loss (lambda_aux).
        kwargs: arguments of :class:`Segmentor`.

    Raises:
        UserError: a level is called 'main', lacks a weight, or is not known.
    """

    def __init__(
        self,
        *,
        level_heads: Mapping[str, dict],
        level_weights: Mapping[str, float],
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if MAIN in level_heads:
            raise UserError("segmentor.level_heads: 'main' is the level of decode_head")
        factors = self.test_cfg.get('level_factors', {})
        _check_levels('level_weights', level_weights, level_heads)
        _check_levels('test_cfg.level_factors', factors, level_heads)
        if missing := level_heads.keys() - level_weights.keys():
            raise UserError(f'segmentor.level_weights lacks {", ".join(sorted(missing))}')
        with no_loss_warning():
            heads = {name: MODELS.build(head) for name, head in level_heads.items()}
        self.level_heads = nn.ModuleDict(heads)
        for name in ('decode_head', 'auxiliary_head'):  # last, as in published networks
            if (head := getattr(self, name, None)) is not None:
                delattr(self, name)
                setattr(self, name, head)
        self.level_weights = dict(level_weights)
        self.level_factors = dict(factors)

    def heads(self) -> dict[str, nn.Module]:
        """The heads by their names in the config."""
        levels = {f'level_heads.{name}': head for name, head in self.level_heads.items()}
        return super().heads() | levels

    @property
    def level_names(self) -> tuple[str, ...]:
        """Names of the classifiers, as in ``levels`` of a forward pass."""
        return (MAIN, *self.level_heads)

    def whole_pass(self, images: Tensor) -> ForwardPass:
        """Run backbone and, on first use, the heads on images (B, 3, H, W)."""
        output = super().whole_pass(images)
        return ForwardPass(output.views, lambda: output.logits, partial(self.decode_levels, output))

    def decode_levels(self, output: ForwardPass) -> Levels:
        """Logits (B, C, h, w) of all levels of a pass."""
        levels = {name: head(output.features) for name, head in self.level_heads.items()}
        return {MAIN: output.logits, **levels}

    def infer(self, images: Tensor) -> ForwardPass:
        """Predict images (B, 3, H, W) as in evaluation, with the factors of the levels."""
        output = self.whole_pass(images)
        if not self.level_factors:
            return output
        return ForwardPass(
            output.views, lambda: self.fuse_levels(output.levels), lambda: output.levels
        )

    def fuse_levels(self, levels: Levels) -> Tensor:
        """Weighted sum of the levels' logits (B, C, h, w), at the stride of 'main'."""
        logits = levels[MAIN]
        for name, factor in self.level_factors.items():
            level = upscale(levels[name], logits.shape[2:], self.level_heads[name].align_corners)
            logits = logits + factor * level
        return logits

    def supervise(
        self, images: Tensor, labels: Tensor, weight: Tensor | None = None
    ) -> Supervision:
        """Predict images and compute the losses of all levels, see :meth:`Segmentor.supervise`.

        Returns:
            Logits, levels, views, and the entries of :meth:`label_losses`: with the prefix 'decode'
            for 'main', 'decode.NAME' for the others. The losses are multiplied by their weights.
        """
        output = self.whole_pass(images)
        losses = self.label_losses('decode', output.logits, labels, weight)
        for name, factor in self.level_weights.items():
            entries = self.label_losses(f'decode.{name}', output.levels[name], labels, weight)
            losses |= {
                key: factor * value if 'loss' in key else value for key, value in entries.items()
            }
        return Supervision(losses, output.logits, output.views, lambda: output.levels)


def _check_levels(option: str, given: Mapping[str, float], known: Mapping[str, dict]) -> None:
    if unknown := given.keys() - known.keys():
        raise UserError(
            f'segmentor.{option} has no such level: {", ".join(sorted(unknown))}; '
            f'level_heads has {", ".join(known)}'
        )
