"""What rank 0 decides reaches the other processes of torchrun."""

from datetime import timedelta
from typing import TypeVar

from mmseg_uda.engine.launch import torchrun_world
from mmseg_uda.errors import UserError

Value = TypeVar('Value')

# While rank 0 waits for another run, or calls a command, the others wait for its decision.
PATIENCE = timedelta(days=60)


class Ranks:
    """The processes of torchrun, which have joined (``joined_processes``); else this one alone."""

    def __init__(self) -> None:
        self._group = None
        if torchrun_world():
            from torch import distributed

            self._group = distributed.new_group(backend='gloo', timeout=PATIENCE)

    def from_first(self, value: Value) -> Value:
        """Rank 0's ``value``, on every rank. Every rank must call it equally often.

        Raises:
            UserError: rank 0 has ended.
        """
        if self._group is None:
            return value
        from torch import distributed

        values = [value]
        try:
            distributed.broadcast_object_list(values, src=0, group=self._group)
        except RuntimeError as error:
            raise UserError('process 0 has ended, see its message') from error
        return values[0]
