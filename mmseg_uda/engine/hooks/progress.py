"""A progress bar for people who watch."""

import resource
import sys

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from tqdm import tqdm


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Iterations done, time to go, waiting time for data and peak memory, on a terminal only."""

    priority = 'LOW'

    def before_train(self, runner: Runner) -> None:
        self.bar = tqdm(
            total=runner.max_iters,
            initial=runner.iter,
            unit='it',
            dynamic_ncols=True,
            disable=not (is_main_process() and sys.stderr.isatty()),
        )

    def after_train_iter(self, runner: Runner, *_, **__) -> None:
        if not self.bar.disable:
            waiting = runner.message_hub.get_scalar('train/data_time').current()
            self.bar.set_postfix_str(
                f'data {1000 * waiting:.0f} ms, peak {_peak_memory_gb():.1f} GB', refresh=False
            )
        self.bar.update()

    def after_train(self, runner: Runner) -> None:
        self.bar.close()


def _peak_memory_gb() -> float:
    """Peak memory of the GPU, or without one of the process, in GiB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
