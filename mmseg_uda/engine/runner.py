"""mmengine's Runner with exact resume, checked checkpoints and one gradient all-reduce per step."""

import logging
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import mmengine
import torch
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.model import convert_sync_batchnorm, revert_sync_batchnorm
from mmengine.runner import BaseLoop, Runner
from mmengine.utils.dl_utils import collect_env
from mmseg.registry import RUNNERS
from torch import nn
from torch.utils.data import DataLoader

from mmseg_uda import __version__
from mmseg_uda.compat.checkpoints import load_segmentor_weights, with_current_names
from mmseg_uda.engine.inherit import inherit_optimizer
from mmseg_uda.engine.interruption import StopRequest
from mmseg_uda.engine.optim import uses_autocast
from mmseg_uda.engine.resume import check_settings, load_moments
from mmseg_uda.engine.work_dir import checkpoints
from mmseg_uda.errors import Interrupted, UserError, dead_loader_workers
from mmseg_uda.models.checkpoint import (
    first_not_finite,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)
from mmseg_uda.models.precision import set_precision
from mmseg_uda.settings import plain
from mmseg_uda.uda.components.teacher import Teacher

HOW_TO_RESUME = 'to resume, run the same command again (mmseg-uda train with --resume)'


@RUNNERS.register_module()
class UDARunner(Runner):
    """Trains a :class:`~mmseg_uda.uda.method.UDAMethod`.

    A resumed run ends with exactly the weights of an uninterrupted run: checkpoints contain the
    complete state of method, optimiser and schedules. No random state is stored, because data and
    random draws depend only on (seed, position).

    Additional config options: ``precision`` of float32 (see ``set_precision``); ``channels_last``
    and ``compile`` (``True`` or arguments of ``torch.compile``) of the student's and teachers'
    networks; ``load_optimizer``, which loads the optimiser's state of ``load_from`` too.
    """

    accept_changes = False  # resume with other settings than the checkpoint's

    def setup_env(self, env_cfg: dict) -> None:
        """Set the float32 precision, then as mmengine."""
        self.precision = set_precision(self.cfg)
        super().setup_env(env_cfg)

    def _log_env(self, env_cfg: dict) -> None:
        """Log the environment; mmengine's log would call every process a GPU."""
        run = {'seed': self.seed, 'processes': self.world_size, 'launcher': self._launcher}
        lines = [f'{key}: {value}' for key, value in (collect_env() | env_cfg | run).items()]
        self.logger.info('\n    '.join(['environment:', *lines]))
        self.logger.info(f'config:\n{self.cfg.pretty_text}')

    def train(self) -> nn.Module:
        """Train; the first SIGINT, SIGTERM or SIGHUP stops it after the step, with a checkpoint.

        Raises:
            Interrupted: such a signal was received.
        """
        if get_device() == 'cuda':
            self.logger.info(f'precision of float32: {self.precision}')
        reply = 'the training stops after this step' if is_main_process() else ''
        advice = f'{HOW_TO_RESUME} from the newest checkpoint in {self.work_dir}'
        with StopRequest(reply) as self.stop, dead_loader_workers(advice):
            model = super().train()
        if self.stop.signal:  # received after the last step
            self.interrupt(self.stop.signal)
        return model

    def interrupt(self, number: int) -> None:
        """Stop the training; the checkpoint of this iteration has been written."""
        message = (
            f'interrupted by {signal.Signals(number).name} after iteration {self.model.iteration} '
            f'of {self.max_iters}, whose checkpoint is in {self.work_dir}; {HOW_TO_RESUME}'
        )
        raise Interrupted(message if is_main_process() else '', number)

    @staticmethod
    def build_dataloader(dataloader: DataLoader | dict, *args, **kwargs) -> DataLoader:
        """As mmengine, but signals to the process group (Ctrl-C) do not reach the workers."""
        loader = Runner.build_dataloader(dataloader, *args, **kwargs)
        if loader is not dataloader:
            loader.worker_init_fn = partial(_init_worker, loader.worker_init_fn)
        return loader

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Move the model to the device; no DistributedDataParallel (see ``average_gradients``)."""
        model = model.to(get_device())
        if not self.distributed:
            return revert_sync_batchnorm(model)
        if (kind := self.cfg.get('sync_bn')) is not None:
            model = convert_sync_batchnorm(model, kind)
        return model

    def build_val_loop(self, loop: dict | BaseLoop) -> BaseLoop:
        """As mmengine; validation data are checked, and named in errors, like training data."""
        from mmseg_uda.datasets.segmentation import NamedErrors, build_dataset

        if not isinstance(loop, BaseLoop):
            dataset = NamedErrors(build_dataset(self._val_dataloader['dataset']))
            self._val_dataloader = {**self._val_dataloader, 'dataset': dataset}
        return super().build_val_loop(loop)

    def _init_model_weights(self) -> None:
        super()._init_model_weights()
        if self.cfg.get('channels_last'):
            self._refuse_bad_kernels()
            self.model.to(memory_format=torch.channels_last)
            self.model.data_preprocessor.channels_last = True

    def _refuse_bad_kernels(self) -> None:
        """Raise UserError for bfloat16 in NHWC on several CPU threads: torch 2.13 gives NaN."""
        autocast = uses_autocast(self.optim_wrapper)
        if get_device() == 'cpu' and autocast and torch.get_num_threads() > 1:
            raise UserError(
                'channels_last with bfloat16 autocast sometimes gives NaN on a CPU with several '
                'threads (a bug of torch): use only one of the two, or OMP_NUM_THREADS=1'
            )

    def _maybe_compile(self, target: str) -> None:
        """Compile the networks but not the step, a generator with control flow on the host."""
        options = self.cfg.get('compile')
        if not options:
            return
        options = {} if options is True else dict(options)
        teachers = [module for module in self.model.modules() if isinstance(module, Teacher)]
        for network in (self.model.student, *(teacher.network for teacher in teachers)):
            network.backbone.compile(**options)
            network.decode_head.compile(**options)

    def save_checkpoint(self, out_dir: str, filename: str, **_) -> None:
        """Write the complete state of the run, atomically; call it between two iterations.

        Raises:
            UserError: a tensor is not finite, or the file cannot be written.
        """
        checkpoint = dict(
            meta=self._meta(),
            state_dict=self.model.state_dict(),
            optimizer=self.optim_wrapper.state_dict(),
            param_schedulers=[scheduler.state_dict() for scheduler in self._schedulers()],
        )
        self._save(checkpoint, Path(out_dir) / filename)

    def save_weights(self, path: str | Path, **meta) -> None:
        """Write the method's state without optimiser, atomically; ``meta`` is added to its meta."""
        checkpoint = dict(meta=self._meta() | meta, state_dict=self.model.state_dict())
        self._save(checkpoint, path)

    def _save(self, checkpoint: dict, path: str | Path) -> None:
        if name := first_not_finite(checkpoint):
            raise UserError(
                f'{path} is not written: {name} is not finite at iteration '
                f'{checkpoint["meta"]["iter"]}; the checkpoints before that are in '
                f'{self.work_dir}. Try a lower learning rate, a longer warm-up, or float32'
            )
        save_checkpoint(checkpoint, path)

    def _meta(self) -> dict:
        return dict(
            iter=self.model.iteration,
            seed=self.seed,
            config=plain(self.cfg.to_dict()),
            processes=self.world_size,
            time=time.strftime('%Y-%m-%d %H:%M:%S'),
            versions=dict(
                mmseg_uda=__version__, torch=str(torch.__version__), mmengine=mmengine.__version__
            ),
            dataset_meta=dict(self.train_dataloader.dataset.metainfo),
        )

    def _schedulers(self) -> list:
        """Return all schedules in one list, also if each optimiser has its own."""
        if isinstance(self.param_schedulers, dict):
            return list(chain.from_iterable(self.param_schedulers.values()))
        return self.param_schedulers

    def load_or_resume(self) -> None:
        """Resume from the newest intact checkpoint, or start from the weights of ``load_from``."""
        if self._has_loaded:
            return
        if self._resume:
            found = newest_checkpoint(self.work_dir)
            if found is None:
                self.logger.info(f'nothing to resume in {self.work_dir}: starting from scratch')
            else:
                self._restore(*found)
        if not self._has_loaded:
            self._start()
        self._has_loaded = True

    def _start(self) -> None:
        """Start a new training from the student, and if set the optimiser, of ``load_from``."""
        with_optimizer = self.cfg.get('load_optimizer')
        if self._load_from is not None:
            load_segmentor_weights(self.model.student, self._load_from)
            if with_optimizer:
                inherit_optimizer(self.optim_wrapper, self.model, self._load_from)
            self.model.student_loaded()
        elif with_optimizer:
            raise UserError(
                'load_optimizer = True needs load_from, the checkpoint to start from: give its '
                'file, or set load_optimizer=False'
            )

    def _restore(self, path: Path, checkpoint: dict) -> None:
        seed = checkpoint['meta']['seed']
        if seed != self.seed:
            raise UserError(
                f'{path} was trained with seed {seed}, not {self.seed}: use --seed {seed}'
            )
        iteration = checkpoint['meta']['iter']
        if iteration > self.max_iters:
            raise UserError(
                f'{path} is beyond the {self.max_iters} iterations of this config '
                '(train_cfg.max_iters): choose another --work-dir'
            )
        changed = check_settings(path, checkpoint['meta'], self._meta(), self.accept_changes)
        load_weights(self.model, checkpoint['state_dict'], path)
        schedulers, states = self._schedulers(), checkpoint['param_schedulers']
        try:
            if changed:
                load_moments(self.optim_wrapper, checkpoint['optimizer'], schedulers, iteration)
            else:
                self.optim_wrapper.load_state_dict(checkpoint['optimizer'])
                for scheduler, state in zip(schedulers, states, strict=True):
                    scheduler.load_state_dict(state)
        except (ValueError, KeyError, AssertionError) as error:
            raise UserError(
                f'optimiser or schedules of {path} do not fit this config: {error}'
            ) from error
        self.train_loop._iter = iteration
        self._has_loaded = True
        self.logger.info(f'resumed {path} at iteration {self.iter}')


def _init_worker(init: Callable[[int], None], worker: int) -> None:
    os.setpgrp()  # a worker still ends with the process of the training
    init(worker)


def newest_checkpoint(work_dir: str | Path) -> tuple[Path, dict[str, Any]] | None:
    """Return path and content of the newest intact checkpoint; None if there are no checkpoints.

    Damaged checkpoints and those with NaN or Inf are skipped with a warning.

    Raises:
        UserError: there are checkpoints, but none is intact.
    """
    paths, problems = checkpoints(work_dir), []
    for path in paths:
        try:
            checkpoint = with_current_names(load_checkpoint(path))
            if name := first_not_finite(checkpoint):
                raise UserError(f'checkpoint {path} is not usable: {name} is not finite')
            return path, checkpoint
        except UserError as error:
            problems.append(str(error))
            print_log(f'{error}; trying the previous one', logger='current', level=logging.WARNING)
    if paths:
        raise UserError(f'no checkpoint in {work_dir} is usable: ' + '; '.join(problems))
    return None
