"""Processes: one, or several that torchrun or `accelerate launch` started; the first one writes and prints."""

import contextlib
from collections.abc import Iterator

import torch
from accelerate import Accelerator
from torch import Tensor


def is_main() -> bool:
    """Return whether this process is the one that writes and prints, the only one or the first of several."""
    return bool(Accelerator().is_main_process)


@contextlib.contextmanager
def main_first() -> Iterator[None]:
    """Let the first process do something before all others do it; all begin together."""
    accelerator = Accelerator()
    accelerator.wait_for_everyone()
    with accelerator.main_process_first():
        yield


def wait_for_all() -> None:
    """Wait until all processes have come to the same point."""
    Accelerator().wait_for_everyone()


def count_processes() -> int:
    """Return how many processes there are."""
    is_several = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if is_several else 1


def sum_over_processes(part: Tensor) -> Tensor:
    """Return the sum of what the processes have, the same in all of them, without gradients."""
    found = part.detach().clone()
    if count_processes() > 1:
        torch.distributed.all_reduce(found)
    return found


def largest_over_processes(part: Tensor) -> Tensor:
    """Return the largest of what the processes have, element by element, the same in all of them."""
    found = part.detach().clone()
    if count_processes() > 1:
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
    return found


def leave_processes() -> None:
    """Leave the other processes, at the end of a program: who just exits may be caught in the middle of a message."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
