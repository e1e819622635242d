"""What SIGINT, SIGTERM and SIGHUP do: a training finishes its step before it ends."""

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
    """Inside of it, the first signal is only noted; a second one acts as it would outside.

    Signals that are ignored outside (because of ``nohup``, say) stay ignored.

    Args:
        reply: what the first signal is answered with on stderr; nothing if it is empty.
    """

    def __init__(self, reply: str = '') -> None:
        self.signal = 0
        self.reply = reply
        self._process = os.getpid()
        self._outside: dict[int, Any] = {}
        self._group: Any = None
        self._exchange: tuple[Any, Any] | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # others cannot set handlers
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._outside[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, error: type[BaseException] | None, *_) -> None:
        self._let_go()
        if error is None:  # else other ranks may never answer
            self.signal = self._answer() or self.signal

    def agreed(self) -> int:
        """The signal at which all ranks stop now, 0 to go on.

        Every rank must call it equally often. With several ranks it is the answer to the call
        before: they exchange it on the host beside the step, and nothing waits for that.
        """
        from mmengine.dist import get_world_size

        if get_world_size() == 1:
            return self.signal
        import torch
        from torch import distributed

        if self._group is None:
            self._group = distributed.new_group(backend='gloo')
        answer, flag = self._answer(), torch.tensor(self.signal)
        largest = distributed.ReduceOp.MAX
        work = distributed.all_reduce(flag, largest, group=self._group, async_op=True)
        self._exchange = work, flag
        return answer

    def _answer(self) -> int:
        """The largest signal that any rank had noted at the latest exchange."""
        if self._exchange is None:
            return 0
        work, flag = self._exchange
        work.wait()
        return int(flag)

    def _note(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._process:  # a forked loader worker: its parent decides
            return
        if self.signal:
            self._let_go()
            os.kill(self._process, number)
            return
        self.signal = number
        if self.reply:  # not print(): the signal may have interrupted one
            name = signal.Signals(number).name
            os.write(2, f'\n{name}: {self.reply}; another signal ends it at once\n'.encode())

    def _let_go(self) -> None:
        while self._outside:
            signal.signal(*self._outside.popitem())


def run_command(command: Sequence[str]) -> int:
    """Run a command that ends in good order at SIGTERM, as torchrun does; returns its status.

    Raises:
        Interrupted: this process got a signal; the command was sent SIGTERM and has ended.
    """
    with StopRequest() as stop:
        # In a process group of its own, so that Ctrl-C reaches it through this process alone.
        process = subprocess.Popen(command, process_group=0)
        while process.poll() is None and not stop.signal:
            time.sleep(0.1)
        if stop.signal:
            process.terminate()
            process.wait()
            raise Interrupted('', stop.signal)
    return process.returncode
