"""When checkpoints are written, and how many are kept."""

from pathlib import Path

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_uda.engine.checkpoint import checkpoints


@HOOKS.register_module()
class ExactCheckpointHook(Hook):
    """Writes ``iter_<n>.pth`` every ``interval`` iterations and at the end.

    The oldest ones are removed only when a newer one is safely on the disk.

    Args:
        interval: iterations between two checkpoints.
        keep: how many to keep; at least 2, so that a damaged one can be passed over.
    """

    priority = 'VERY_LOW'

    def __init__(self, interval: int, keep: int = 2) -> None:
        if keep < 2:
            raise ValueError(f'keep={keep}: keep at least 2 checkpoints, the newest may be damaged')
        self.interval = interval
        self.keep = keep

    def before_train(self, runner: Runner) -> None:
        if is_main_process():  # a run that was killed while it wrote leaves its temporary file
            for rest in Path(runner.work_dir).glob('.iter_*.pth.*.tmp'):
                rest.unlink()

    def after_train_iter(self, runner: Runner, *_, **__) -> None:
        if not (self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)):
            return
        if is_main_process():
            runner.save_checkpoint(runner.work_dir, f'iter_{runner.iter + 1}.pth')
            for old in checkpoints(runner.work_dir)[self.keep :]:
                old.unlink()
        barrier()
