"""Values of device tensors on the host, without a stop of the device."""

import torch
from torch import Tensor


class HostCopy:
    """A copy of a small tensor on the host, which is made while host and device continue.

    The copy is queued behind the work that computes the tensor. :meth:`values` waits for the copy
    alone, not for work that was queued after it: where a network pass is queued between the two,
    the device has work during the wait and never idles.

    Args:
        tensor: of any shape. On other devices than a GPU it is not copied, and is read when
            :meth:`values` is called.

    >>> HostCopy(torch.tensor([3, 5])).values()
    [3, 5]
    """

    def __init__(self, tensor: Tensor) -> None:
        self._tensor, self._copied = tensor, None
        if tensor.is_cuda:
            self._tensor = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._tensor.copy_(tensor, non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record()

    def values(self) -> list:
        """The values as (nested) lists of numbers."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._tensor.tolist()
