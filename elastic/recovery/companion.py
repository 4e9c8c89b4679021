"""Companion: a network that runs in step with another, one call at a time.

It runs in a thread of its own and waits wherever it was asked for what a call makes, so that both networks go through
their images once and only what is alive at one point is held.
"""

import queue
import threading
from collections.abc import Callable, Set
from typing import Any

import torch

from elastic.watching.calls import Call, Watch


class Stopped(BaseException):
    """Nobody asks any more. No error, so that no network catches it."""


class Companion:
    """Runs `forward` and gives what the wanted calls make, in order."""

    def __init__(self, forward: Callable[[], Any], wanted: Set[int]) -> None:
        self.forward = forward
        self.wanted = wanted
        self.asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.made: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def next(self) -> Any:
        """Return what the next wanted call makes.

        Raises what the network raised on its way there.
        """
        self.asked.put(True)
        made = self.made.get()
        if isinstance(made, BaseException):
            raise made
        return made

    def close(self) -> None:
        """End the run where it is."""
        self.asked.put(False)
        self.thread.join()

    def _run(self) -> None:
        try:
            if self.asked.get():
                with torch.no_grad(), Watch(self._answer):
                    self.forward()
                self.made.put(RuntimeError("the network ended before the call that was asked for"))
        except Stopped:
            pass
        except BaseException as reason:
            self.made.put(reason)

    def _answer(self, call: Call) -> Any:
        if call.number not in self.wanted:
            return NotImplemented
        made = call.run()
        self.made.put(made)
        if not self.asked.get():
            raise Stopped
        return made
