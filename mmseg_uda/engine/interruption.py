"""Handling of SIGINT, SIGTERM and SIGHUP: a training finishes its step, then stops."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any, Self

from mmseg_uda.errors import Interrupted

SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


class StopRequest:
    """Context that records the first signal; a second signal acts as without the context.

    Signals that were ignored before (by ``nohup``, for example) remain ignored.

    Args:
        reply: message printed on stderr at the first signal; empty: none.
    """

    def __init__(self, reply: str = '') -> None:
        self.signal = 0
        self.reply = reply
        self._process = os.getpid()
        self._handlers: dict[int, Any] = {}  # those before the context
        self._group: Any = None
        self._exchange: tuple[Any, Any] | None = None  # pending all-reduce and its result

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # only this one can set handlers
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._handlers[number] = signal.signal(number, self._record)
        return self

    def __exit__(self, error: type[BaseException] | None, *_) -> None:
        self._restore_handlers()
        if error is None:  # after an error other ranks may not take part
            self.signal = self._exchanged() or self.signal

    def agreed(self) -> int:
        """Return the signal for which all ranks stop now; 0: continue.

        All ranks must call it equally often. With several ranks it returns the result of the
        previous call: the signals are exchanged on the host in the background of a step.
        """
        from mmengine.dist import get_world_size

        if get_world_size() == 1:
            return self.signal
        import torch
        from torch import distributed

        if self._group is None:
            self._group = distributed.new_group(backend='gloo')
        previous, flag = self._exchanged(), torch.tensor(self.signal)
        largest = distributed.ReduceOp.MAX
        work = distributed.all_reduce(flag, largest, group=self._group, async_op=True)
        self._exchange = work, flag
        return previous

    def _exchanged(self) -> int:
        """Wait for the latest exchange; return the largest signal of all ranks, 0 if none."""
        if self._exchange is None:
            return 0
        work, flag = self._exchange
        work.wait()
        return int(flag)

    def _record(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._process:  # a forked loader worker: only its parent reacts
            return
        if self.signal:
            self._restore_handlers()
            os.kill(self._process, number)
            return
        self.signal = number
        if self.reply:  # print() is not re-entrant
            name = signal.Signals(number).name
            os.write(2, f'\n{name}: {self.reply}; a second signal stops it immediately\n'.encode())

    def _restore_handlers(self) -> None:
        while self._handlers:
            signal.signal(*self._handlers.popitem())


def run_command(command: Sequence[str]) -> int:
    """Run a command and return its exit status; a signal is passed on as SIGTERM.

    Raises:
        Interrupted: this process received a signal; the command received SIGTERM and has ended.
    """
    with StopRequest() as stop:
        # A separate process group: Ctrl-C reaches the command only through this process.
        process = subprocess.Popen(command, process_group=0)
        while process.poll() is None and not stop.signal:
            time.sleep(0.1)
        if stop.signal:
            process.terminate()
            process.wait()
            raise Interrupted('', stop.signal)
    return process.returncode
