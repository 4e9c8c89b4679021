"""Follower: run a network once and let cells travel beside its tensors.

A dispatch mode sees every operation with its arguments. Each operation's rule says what becomes of the cells; one
without a rule freezes what it touches. What was seen is kept as a script, so that the network, once cut, can be run
again and compared with it operation by operation.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from elastic.plan import NEVER, Axis, IntArray, Layer
from elastic.tracing import shortcuts
from elastic.tracing.call import Call, tensors_in
from elastic.tracing.followed import NOTHING, Choice, Followed
from elastic.tracing.labels import Counted
from elastic.tracing.layers import Conv, why_frozen
from elastic.tracing.partition import Clash, Partition
from elastic.tracing.places import lines, place_of_call
from elastic.tracing.recording import counted, layer_of
from elastic.tracing.rules import RULES, elementwise, is_elementwise
from elastic.tracing.script import SIZED, Decisions, Step, constants_of, sizes_of
from elastic.tracing.wholes import RmsAsLayerNorm, costs_of, sealed


class Stopped(BaseException):
    """A run went far enough. No error, so that no network catches it."""


class Follower(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A run of a twin, in which the tensors of its state have cells and all else gets them from these."""

    def __init__(
        self,
        twin: nn.Module,
        decisions: Decisions,
        *,
        origins: Mapping[Axis, IntArray] | None = None,
        clash: Clash | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.partition = Partition(clash)
        self.decisions = decisions
        self.origins = origins
        self.names = {id(tensor): name for name, tensor in reversed(list(_state(twin)))}
        self.rank = {  # kernels lose nothing
            id(p): 2
            for m in twin.modules()
            if isinstance(m, Conv)
            for p in (m.parameters() if m._modules else m._parameters.values())
            if p is not None and p.dim() == 2 + len(m.kernel_size)
        }
        self.has_rms = any("rms" in type(m).__name__.lower() for m in twin.modules())
        self.parameters = {id(parameter) for parameter in twin.parameters()}
        self.locked: dict[int, str] = {}  # tensors of layers that can't be followed, and why
        self.axes: dict[Axis, IntArray] = {}
        self.frozen: list[tuple[IntArray, str]] = []
        self.chosen: dict[Choice, list[IntArray]] = {}  # the cells that each choice was about
        self.chosen_in: dict[Choice, str] = {}  # the module that made each choice first
        self.layers: list[Layer] = []
        self.numbers: dict[tuple[str, str, str | None], list[int]] = {}  # of the layers, by what they are
        self.counted: list[Counted] = []
        self.is_counting = True
        self.beside: dict[int, Followed] = {}
        self.alive: list[Tensor] = []  # so that no id is used twice
        self.dirty: set[int] = set()  # storages that were written to with what isn't zero where it should be
        self.steps: list[Step] = []
        self.modules: list[str] = [""]
        self.operation = ""
        self.entered: dict[str, tuple[Any, Any]] = {}  # arguments of each module's first call

    # What rules need: `elastic.tracing.call.Book`.

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
        self.frozen.append((cells, f"{why}{self.where()}" if why else ""))
        self.partition.hold(cells)

    def choose(self, options: Sequence[str], cells: IntArray) -> tuple[Choice, str | None]:
        """Return the place of a choice about cells and the option that is taken there, None to freeze."""
        choice: Choice = (self.operation, *place_of_call())
        known = self.decisions.options.setdefault(choice, [])
        known += [option for option in options if option not in known]
        if choice not in self.decisions.taken:
            self.decisions.next(choice)
        taken = self.decisions.taken[choice]
        self.chosen.setdefault(choice, []).append(cells)
        self.chosen_in.setdefault(choice, self.modules[-1])
        if taken is not None and taken not in options and self.origins is None:
            taken = options[0]  # lines that split in several ways
        return choice, taken

    def is_known_as_fixed(self, cells: IntArray) -> bool:
        """Return whether a run that checks another knows that none of the cells could leave."""
        return self.origins is not None and bool((self.partition.origin[self.partition.find(cells)] == NEVER).all())

    def has_known_units(self, cells: IntArray) -> bool:
        """Return whether a run that checks another knows that some of the cells could leave."""
        return self.origins is not None and bool((self.partition.origin[self.partition.find(cells)] > NEVER).any())

    def has_decided(self) -> bool:
        """Return whether the run that this one checks had to choose here."""
        return self.origins is not None and (self.operation, *place_of_call()) in self.decisions.taken

    def where(self) -> str:
        """Return where the network is, for a reason."""
        line = next((f"{name.rpartition('/')[2]}:{number}" for name, number in lines() if "/torch/" not in name), "")
        module = f", module {self.modules[-1]}" if self.modules[-1] else ""
        return f" ({line}{module})" if line else ""

    # The run.

    @contextmanager
    def running(self, modules: Sequence[tuple[str, nn.Module]]) -> Iterator[None]:
        """Change modules, while active, so that each operation knows its own."""
        handles: list[Any] = []
        fast_path = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)  # one operation for all of an attention, which says nothing
        for path, module in modules:
            if isinstance(module, nn.RNNBase):
                module.forward = sealed(module, self._enter_recurrent(path, module), self.put)
            handles.append(module.register_forward_pre_hook(self._enter(path), with_kwargs=True))
            handles.append(module.register_forward_hook(self._leave, always_call=True))
        try:
            with torch.no_grad(), self, RmsAsLayerNorm() if self.has_rms else nullcontext():
                yield
        except Stopped:
            pass
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)
            for handle in handles:
                handle.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.operation = name = func.overloadpacket.__name__
        out = self.run(name, func, args, kwargs)
        changed = name.endswith("_") and not name.startswith("__")
        call = Call(name.rstrip("_") if changed else name, func, args, kwargs, out, self)
        outs = list(tensors_in(out if isinstance(out, tuple | list) else [out]))
        results = self._results(call, outs) if outs else []
        for tensor, result in zip(outs, results, strict=False):
            self.put(tensor, result)
        if changed and outs and results and not results[0].vanishes:
            self.dirty.add(outs[0].untyped_storage()._cdata)
        if self.is_counting and (cost := counted(call, self.modules[-1])):
            self.counted.append(cost)
        self.note(call, outs)
        return out

    def run(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        """Run an operation."""
        return shortcuts.run(name, func, args, kwargs)

    def put(self, tensor: Tensor, followed: Followed) -> None:
        """Let something follow a tensor."""
        if id(tensor) not in self.names:
            self.beside[id(tensor)] = followed
            self.alive.append(tensor)

    def note(self, call: Call, outs: Sequence[Tensor]) -> None:
        """Keep what happened."""
        shapes = tuple(tuple(out.shape) for out in outs)
        axes = tuple(self.followed(out).axes for out in outs)
        place = place_of_call() if call.name in SIZED else None
        sizes = sizes_of(call, shapes, axes) if place and any(axes) else {}
        choices = self.choices_of(call)
        self.steps.append(Step(call.name, self.modules[-1], shapes, axes, constants_of(call), place, sizes, choices))

    def choices_of(self, call: Call) -> frozenset[Choice]:
        """Return the choices that an operation and its inputs went through."""
        return frozenset(call.made).union(*(self.followed(t).choices for t in call.tensors()))

    def _results(self, call: Call, outs: Sequence[Tensor]) -> list[Followed]:
        tensors = call.tensors()
        rule: Callable[[Call], Any] | None = RULES.get(call.name)
        is_new = rule is not None and (not tensors or call.name in ("expand", "repeat"))  # cells come from nowhere
        if not is_new and not any(self._has_cells(tensor) for tensor in tensors):
            return self._inherited(call, [self.followed(t) for t in tensors], outs, [NOTHING] * len(outs))
        if rule is None and is_elementwise(call.func, call.name):
            rule = elementwise
        if rule is None:
            for tensor in tensors:
                call.freeze_all(self.followed(tensor), f"operation `{call.name}` has no rule")
            return self._inherited(call, [self.followed(t) for t in tensors], outs, [NOTHING] * len(outs))
        result = rule(call)  # which may let a weight adopt cells, so it comes before anything asks for the weight's
        if result is None:
            return [NOTHING] * len(outs)
        found = list(result) if isinstance(result, list) else [result] * len(outs)
        return self._inherited(call, [self.followed(t) for t in tensors], outs, found)

    def _has_cells(self, tensor: Tensor) -> bool:
        known = self.beside.get(id(tensor))
        return bool(known.axes) if known is not None else id(tensor) in self.names

    def _inherited(
        self, call: Call, inputs: Sequence[Followed], outs: Sequence[Tensor], found: Sequence[Followed]
    ) -> list[Followed]:
        """Return what follows the outputs, with what they have from the inputs: choices, layers, reasons."""
        # What was chosen upstream counts until a weight makes new channels.
        is_product = any(each.weight for each in inputs) and call.name in PRODUCTS
        choices = frozenset(call.made) if is_product else frozenset(call.made).union(*(i.choices for i in inputs))
        layers = tuple(dict.fromkeys(layer for each in inputs for layer in each.layers))
        if outs and (layer := layer_of(call, self.modules[-1], layers, outs[0], found[0])):
            layers = (self._record(layer),)
        why = "" if is_product else next((each.why for each in inputs if each.why), "")
        elements = max((each.elements for each in inputs), default=0)
        return [Followed(f.axes, f.vanishes, choices, layers, f.weight, elements, why) for f in found]

    def _record(self, layer: Layer) -> int:
        """Return the number of a layer; one that a run before this one went through keeps its own."""
        key = (layer.module, layer.kind, layer.weight)
        known = self.numbers.setdefault(key, [])
        if self.is_counting or not known:
            known.append(len(self.layers))
            self.layers.append(layer)
            return known[-1]
        known.append(known.pop(0))  # the next time, the next of them
        return known[-1]

    def adopt(self, tensor: Tensor, dim: int, cells: IntArray) -> None:
        """Let an axis of a weight that was not seen yet have known cells: nothing needs to be united then."""
        if (
            id(tensor) in self.beside
            or id(tensor) not in self.names
            or tensor.shape[dim] != len(cells)
            or len(cells) < 2
        ):
            return
        if self.origins is not None:
            known = self.partition.origin[self.partition.find(cells)]
            if not np.array_equal(known, self.origins[self.names[id(tensor)], dim]):
                return  # a clash, which uniting finds
        self._register(tensor, {dim: cells})

    def _register(self, tensor: Tensor, known: Mapping[int, IntArray] | None = None) -> Followed:
        name = self.names[id(tensor)]
        axes = {}
        if tensor.is_floating_point():
            for axis, size in enumerate(tensor.shape[: self.rank.get(id(tensor), tensor.dim())]):
                origin = None if self.origins is None else self.origins[name, axis]
                if size <= 1 and (origin is None or not (origin > NEVER).any()):
                    continue  # an axis of one can't lose it; once cut, it may be all that is left
                own = (known or {}).get(axis)
                axes[axis] = self.axes[name, axis] = self.partition.new(size, origin) if own is None else own
        is_parameter = id(tensor) in self.parameters
        self.beside[id(tensor)] = Followed(axes, is_parameter, weight=name, elements=tensor.numel())
        if why := self.locked.get(id(tensor)):
            for cells in axes.values():
                self.frozen.append((cells, why))
                self.partition.hold(cells)
        return self.beside[id(tensor)]

    def _enter(self, path: str) -> Callable[..., None]:
        def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
            self.modules.append(path)
            self.entered.setdefault(path, (args, kwargs))

        return enter

    def _enter_recurrent(self, path: str, module: nn.RNNBase) -> Callable[[Tensor], None]:
        def enter(x: Tensor) -> None:
            for cells in self.followed(x).axes.values():
                self.freeze(cells, why_frozen(module) or "")
            for weight in module.parameters():
                self.followed(weight)
            self.counted += costs_of(path, module, x) if self.is_counting else []

        return enter

    def _leave(self, *_: Any) -> None:
        self.modules.pop()


PRODUCTS = frozenset(["convolution", "_convolution", "mm", "addmm", "bmm", "baddbmm", "linear", "embedding", "matmul"])


def _state(twin: nn.Module) -> Iterator[tuple[str, Tensor]]:
    saved = twin.state_dict(keep_vars=True)
    yield from twin.named_parameters(remove_duplicate=False)
    yield from ((name, t) for name, t in twin.named_buffers(remove_duplicate=False) if name in saved)
