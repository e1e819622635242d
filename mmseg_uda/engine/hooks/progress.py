"""Progress bar of a training."""

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
    """Shows progress, remaining time, waiting time for data and peak memory, if on a terminal."""

    priority = 'LOW'

    def before_train(self, runner: Runner) -> None:
        """Create the bar."""
        self.bar = tqdm(
            total=runner.max_iters,
            initial=runner.iter,
            unit='it',
            dynamic_ncols=True,
            disable=not (is_main_process() and sys.stderr.isatty()),
        )

    def after_train_iter(self, runner: Runner, *_, **__) -> None:
        """Advance the bar."""
        if not self.bar.disable:
            waiting = runner.message_hub.get_scalar('train/data_time').current()
            self.bar.set_postfix_str(
                f'data {1000 * waiting:.0f} ms, peak {_peak_memory_gb():.1f} GB', refresh=False
            )
        self.bar.update()

    def after_train(self, runner: Runner) -> None:
        """Close the bar."""
        self.bar.close()


def _peak_memory_gb() -> float:
    """Return the peak memory of the GPU, or of the process if there is no GPU, in GiB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
