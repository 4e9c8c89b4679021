"""Follower: run a network once and let cells travel beside its tensors.

A dispatch mode sees every operation with its arguments. Each operation's rule says what becomes of the cells; one
without a rule freezes what it touches. `recorder.py` keeps what was seen as a script; once the network is cut,
`checking.py` runs it again and compares the two, operation by operation.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from elastic.plan import NEVER, Axis, IntArray
from elastic.tracing.following import shortcuts
from elastic.tracing.following.call import Call, tensors_in
from elastic.tracing.following.followed import NOTHING, Choice, Followed
from elastic.tracing.following.places import place_of_call
from elastic.tracing.following.rules import RULES, elementwise, is_elementwise
from elastic.tracing.following.script import Decisions
from elastic.tracing.following.wholes import RmsAsLayerNorm, sealed
from elastic.tracing.layers import Conv, why_frozen
from elastic.tracing.partition import Clash, Partition
from elastic.tracing.twin import Modules, held


class Stopped(BaseException):
    """A run went far enough. No error, so that no network catches it."""


class Follower(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A run of a twin, in which the tensors of its state have cells and all else gets them from these."""

    def __init__(self, modules: Modules, decisions: Decisions, clash: Clash | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.partition = Partition(clash)
        self.decisions = decisions
        self.paths = modules
        self.names: dict[int, str] = {}
        self.parameters: set[int] = set()
        for name, tensor, is_parameter in held(modules):
            self.names.setdefault(id(tensor), name)
            if is_parameter:
                self.parameters.add(id(tensor))
        self.rank = {  # kernels lose nothing
            id(p): 2
            for _, m in modules
            if isinstance(m, Conv)
            for p in (m.parameters() if m._modules else m._parameters.values())
            if p is not None and p.dim() == 2 + len(m.kernel_size)
        }
        self.locked: dict[int, str] = {}  # tensors of layers that can't be followed, and why
        self.axes: dict[Axis, IntArray] = {}
        self.beside: dict[int, Followed] = {}
        self.alive: list[Tensor] = []  # so that no id is used twice
        self.dirty: set[int] = set()  # storages that were written to with what isn't zero where it should be
        self.modules: list[str] = [""]
        self.call: Call | None = None
        self.entered: dict[str, tuple[Any, Any]] = {}  # arguments of each module's first call
        self.is_counting = True  # costs and layers are those of the first of several runs

    # What rules need: `elastic.tracing.following.call.Book`.

    def followed(self, tensor: Tensor) -> Followed:
        """Return what follows a tensor; those of the state get cells when they are first seen."""
        known = self.beside.get(id(tensor))
        if known is None and id(tensor) in self.names:
            known = self._register(tensor)
        if known is None:
            return NOTHING
        if known.vanishes and self.dirty and tensor.untyped_storage()._cdata in self.dirty:
            return replace(known, vanishes=False)
        return known

    def freeze(self, cells: IntArray, why: str) -> None:
        """Let cells never leave."""
        self.partition.hold(cells)

    def choose(self, options: Sequence[str], cells: IntArray) -> tuple[Choice, str | None]:
        """Return the place of a choice about cells and the option that is taken there, None to freeze."""
        choice = self.choice()
        return choice, self.decisions.taken.get(choice, options[0])

    def choice(self) -> Choice:
        """Return the name of a choice that is made by the operation that runs."""
        return (self.call.name if self.call else "", *place_of_call())

    def is_known_as_fixed(self, cells: IntArray) -> bool:
        """Return whether a run that checks another knows that none of the cells could leave."""
        return False

    def has_known_units(self, cells: IntArray) -> bool:
        """Return whether a run that checks another knows that some of the cells could leave."""
        return False

    def has_decided(self) -> bool:
        """Return whether the run that this one checks had to choose here."""
        return False

    def origin(self, name: str, axis: int, size: int) -> IntArray | None:
        """Return what is known of an axis of the state: the unit of each position; None in a first run."""
        return None

    # The run.

    @contextmanager
    def running(self) -> Iterator[None]:
        """Change modules, while active, so that each operation knows its own; whoever lent them puts them back."""
        fast_path = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)  # one operation for all of an attention, which says nothing
        for path, module in self.paths:
            vars(module)["forward"] = self._within(path, self._forward(path, module))
        has_rms = any("rms" in type(module).__name__.lower() for _, module in self.paths)
        try:
            with torch.no_grad(), self, RmsAsLayerNorm() if has_rms else nullcontext():
                yield
        except Stopped:
            pass
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.call = call = Call(func, args, kwargs or {}, self)
        call.out = out = self.run(call)
        outs = [out] if isinstance(out, Tensor) else tensors_in(out if isinstance(out, tuple | list) else [out])
        results = self._results(call, len(outs)) if outs else []
        for tensor, result in zip(outs, results, strict=False):
            self.put(tensor, result)
        if call.signature.is_in_place and results and not results[0].vanishes:
            self.dirty.add(outs[0].untyped_storage()._cdata)
        self.note(call, outs)
        return out

    def run(self, call: Call) -> Any:
        """Return what an operation makes."""
        return shortcuts.run(call)

    def put(self, tensor: Tensor, followed: Followed) -> None:
        """Let something follow a tensor."""
        if id(tensor) not in self.names:
            self.beside[id(tensor)] = followed
            self.alive.append(tensor)

    def note(self, call: Call, outs: Sequence[Tensor]) -> None:
        """Keep what happened."""

    def inherited(self, call: Call, found: list[Followed]) -> list[Followed]:
        """Return what follows the outputs, with what they have from the inputs."""
        return found

    def _results(self, call: Call, count: int) -> list[Followed]:
        tensors = call.tensors()
        rule: Callable[[Call], Any] | None = RULES.get(call.name)
        is_new = rule is not None and (not tensors or call.name in ("expand", "repeat"))  # cells come from nowhere
        if not is_new and not self._have_cells(tensors):
            return self.inherited(call, [NOTHING] * count)
        if rule is None and is_elementwise(call.func, call.name):
            rule = elementwise
        if rule is None:
            for tensor in tensors:
                call.freeze_all(self.followed(tensor), f"operation `{call.name}` has no rule")
            return self.inherited(call, [NOTHING] * count)
        result = rule(call)
        if result is None:
            return [NOTHING] * count
        found = result if isinstance(result, list) else [result] * count
        return self.inherited(call, found)

    def _have_cells(self, tensors: Sequence[Tensor]) -> bool:
        for tensor in tensors:
            known = self.beside.get(id(tensor))
            if known.axes if known is not None else id(tensor) in self.names:
                return True
        return False

    def adopt(self, tensor: Tensor, dim: int, cells: IntArray) -> None:
        """Let an axis of a weight that was not seen yet have known cells: nothing needs to be united then."""
        if (
            id(tensor) in self.beside
            or id(tensor) not in self.names
            or tensor.shape[dim] != len(cells)
            or len(cells) < 2
        ):
            return
        known = self.origin(self.names[id(tensor)], dim, len(cells))
        if known is not None and (self.partition.origin[self.partition.find(cells)] != known).any():
            return  # a clash, which uniting finds
        self._register(tensor, {dim: cells})

    def _register(self, tensor: Tensor, known: Mapping[int, IntArray] | None = None) -> Followed:
        name = self.names[id(tensor)]
        axes = {}
        if tensor.is_floating_point():
            for axis, size in enumerate(tensor.shape[: self.rank.get(id(tensor), tensor.dim())]):
                origin = self.origin(name, axis, size)
                if size <= 1 and (origin is None or not (origin > NEVER).any()):
                    continue  # an axis of one can't lose it; once cut, it may be all that is left
                own = (known or {}).get(axis)
                axes[axis] = self.axes[name, axis] = self.partition.new(size, origin) if own is None else own
        is_parameter = id(tensor) in self.parameters
        self.beside[id(tensor)] = Followed(axes, is_parameter, weight=name, elements=tensor.numel())
        if why := self.locked.get(id(tensor)):
            for cells in axes.values():
                self.lock(cells, why)
        return self.beside[id(tensor)]

    def lock(self, cells: IntArray, why: str) -> None:
        """Let cells of a layer that can't be followed never leave."""
        self.partition.hold(cells)

    def left(self, path: str, reason: BaseException) -> None:
        """Learn that a module ended by an error."""

    def ended(self, path: str, given: Sequence[Tensor]) -> None:
        """Learn that a module ended, and what it was given."""

    def _forward(self, path: str, module: nn.Module) -> Callable[..., Any]:
        if isinstance(module, nn.RNNBase):
            return sealed(module, lambda x: self.enter_recurrent(path, module, x), self.put)
        forward: Callable[..., Any] = module.forward
        return forward

    def _within(self, path: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        def within(*args: Any, **kwargs: Any) -> Any:
            self.modules.append(path)
            self.entered.setdefault(path, (args, kwargs))
            try:
                made = forward(*args, **kwargs)
            except BaseException as reason:
                self.left(path, reason)
                raise
            finally:
                self.modules.pop()
            self.ended(path, tensors_in((*args, *kwargs.values())))
            return made

        return within

    def enter_recurrent(self, path: str, module: nn.RNNBase, x: Tensor) -> None:
        """Learn that a recurrent layer is run, which is not followed."""
        for cells in self.followed(x).axes.values():
            self.freeze(cells, why_frozen(module) or "")
        for weight in module.parameters():
            self.followed(weight)
