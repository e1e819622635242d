"""Writes and removes checkpoints; after a resume no validation is missing or repeated."""

import json
import logging
import math
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_uda.engine.work_dir import best_checkpoint, checkpoints
from mmseg_uda.errors import UserError
from mmseg_uda.evaluation import SegmentationMetric
from mmseg_uda.files import save_json
from mmseg_uda.models.checkpoint import load_checkpoint

VALIDATED = 'validated.json'  # records the last iteration with a finished validation


@HOOKS.register_module()
class ExactCheckpointHook(Hook):
    """Writes ``iter_<n>.pth`` every ``interval`` iterations and at the end.

    Old checkpoints are removed only after a newer one is on disk. A signal (see ``StopRequest``)
    stops the run with an additional checkpoint, which does not count in ``keep`` and is removed
    after the next one is written.

    A resumed run first repeats the validation of its iteration if that was not finished.

    Args:
        interval: iterations between two checkpoints.
        keep: number of checkpoints to keep; at least 2, in case the newest is damaged.
        save_best: a metric of :class:`SegmentationMetric`, such as ``mIoU``. The weights with its
            highest value are kept in ``best_<metric>.pth``, whose ``meta`` has iteration and score.
            They are selected with target labels, which unsupervised adaptation must not use: report
            this score in addition to that of the last iteration, not instead.
    """

    priority = 'VERY_LOW'

    def __init__(self, interval: int, keep: int = 2, save_best: str | None = None) -> None:
        if keep < 2:
            raise ValueError(f'keep={keep}: keep at least 2 checkpoints, the newest may be damaged')
        self.interval = interval
        self.keep = keep
        self.save_best = save_best
        self.best_score = -math.inf
        self.written = 0  # iteration of the latest checkpoint on disk

    def before_train(self, runner: Runner) -> None:
        """Clean up after the previous run, read its best score, finish its validation.

        Raises:
            UserError: the validation has no ``SegmentationMetric`` with the metric ``save_best``.
        """
        if is_main_process():  # a run that was killed while writing leaves a temporary file
            for rest in Path(runner.work_dir).glob('.*.pth.*.tmp'):
                rest.unlink()
            if runner.iter == 0:
                Path(runner.work_dir, VALIDATED).unlink(missing_ok=True)
        self.written = runner.iter
        if self.save_best is not None:
            self._read_best_score(runner)
        if runner.iter > 0 and self._validation_is_missing(runner):
            runner.logger.info(f'repeating the unfinished validation at iteration {runner.iter}')
            runner.val_loop.run()

    def _read_best_score(self, runner: Runner) -> None:
        metrics = runner.val_loop.evaluator.metrics if runner.val_loop else []
        known = [m.mean_names for m in metrics if isinstance(m, SegmentationMetric)]
        if self.save_best not in chain(*known):
            raise UserError(
                f'save_best={self.save_best!r} is not a metric of the SegmentationMetric in '
                f'val_evaluator: choose from {", ".join(chain(*known)) or "none"}'
            )
        path = best_checkpoint(runner.work_dir, self.save_best)
        if path.exists():
            try:
                self.best_score = load_checkpoint(path)['meta']['score']
            except (UserError, KeyError) as error:
                message = f'{path} has no score: {error}; the next validation replaces it'
                print_log(message, logger='current', level=logging.WARNING)

    def _validation_is_missing(self, runner: Runner) -> bool:
        """Whether a validation due at this iteration is unfinished or has no best weights."""
        loop = runner.train_loop
        loop._decide_current_val_interval()
        due = loop.iter % loop.val_interval == 0 or loop.iter == loop.max_iters
        if runner.val_loop is None or loop.iter < loop.val_begin or not due:
            return False
        no_best = self.save_best is not None and self.best_score == -math.inf
        return no_best or last_validated(runner.work_dir) < loop.iter

    def after_train_iter(self, runner: Runner, *_, **__) -> None:
        """Write a checkpoint if one is due or a signal was received; stop after a signal."""
        stop = runner.stop.agreed()
        if stop or self._planned(runner, runner.iter + 1):
            self._write(runner, runner.iter + 1)
        if stop:
            runner.interrupt(stop)

    def after_val_iter(self, runner: Runner, *_, **__) -> None:
        """Stop with a checkpoint if a signal was received."""
        if stop := runner.stop.agreed():
            self._write(runner, runner.iter)
            runner.interrupt(stop)

    def _planned(self, runner: Runner, iteration: int) -> bool:
        return iteration % self.interval == 0 or iteration == runner.max_iters

    def _write(self, runner: Runner, iteration: int) -> None:
        """Write the checkpoint of the current ``iteration``, then remove old ones."""
        if iteration == self.written:
            return
        self.written = iteration
        if is_main_process():
            runner.save_checkpoint(runner.work_dir, f'iter_{iteration}.pth')
            found = {int(path.stem[5:]): path for path in checkpoints(runner.work_dir)}
            planned = [number for number in found if self._planned(runner, number)]
            others = [number for number in found if number not in planned]
            for number in (planned + others)[max(2, min(self.keep, len(planned))) :]:
                if number != iteration:
                    found[number].unlink()
        barrier()

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Save the weights if they are the best so far; record that the validation is finished."""
        score = (metrics or {}).get(self.save_best, -math.inf)
        better = score > self.best_score
        self.best_score = max(self.best_score, score)
        if is_main_process():
            if better:
                path = best_checkpoint(runner.work_dir, self.save_best)
                runner.save_weights(path, score=score)
                runner.logger.info(f'{path.name}: {self.save_best} {score:.2f} at {runner.iter}')
            save_json(Path(runner.work_dir, VALIDATED), {'iteration': runner.iter})
        barrier()


def last_validated(work_dir: str | Path) -> int:
    """Return the last iteration with a finished validation; 0 if none is recorded."""
    try:
        return int(json.loads(Path(work_dir, VALIDATED).read_text())['iteration'])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return 0
