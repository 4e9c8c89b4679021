"""ElasticModel: a network that is any of its file's levels, and becomes another one in place.

The network keeps its own class and names; this is mixed into its class. What its modules hold are views of one
storage, in which units are ordered by level, so a switch copies nothing. State dicts are in the order of the file.
Levels of few bits are there to be run: their weights are unpacked at the switch, and nothing of them can be changed.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from elastic import checkpoint
from elastic.building import build
from elastic.errors import LiveNetwork, UnknownName
from elastic.fitting import fit
from elastic.metadata import Header, find_level, read_header
from elastic.planned import load_plan
from elastic.runtime.live import Live, own_class, tensors_of
from elastic.runtime.packed import packed_levels
from elastic.runtime.skeletons import widths_of
from elastic.runtime.stores import Stores, layout_of
from elastic.runtime.timing import Timing, choose, measure_levels
from elastic.tensors import take_dtypes

AT_FLOATS = "switch to a level of floats for that, or train with `elastic quantise`"


class ElasticModel(nn.Module):
    """A network whose size can change; `load` makes them.

    Every level has parameters of its own, which are views of the same storage: an optimiser for one level trains its
    part of all larger ones, and of smaller ones what they share. Norms and whatever else the file has for a level
    alone are swapped.
    """

    _elastic_class = True  # elastic.plain.LIVE
    _elastic: Live
    _timings: Mapping[str, Timing]

    @property
    def levels(self) -> tuple[str, ...]:
        """The names of the levels that are loaded, smallest first."""
        live = self._elastic
        return tuple(level.name for level in live.stores.layout.header.levels[: live.stores.top + 1])

    @property
    def level(self) -> str:
        """The name of the level that the network is at."""
        return self.levels[self._elastic.level]

    def switch(self, level: int | str) -> Self:
        """Change the network to a loaded level, in place and without copies, and return it.

        Tensors whose levels are no prefix (behind a concatenation) are copied, weights of few bits unpacked. Raises
        UnknownName for a level that isn't there, or that is not loaded, LiveNetwork in training for one of few bits.
        """
        number = self._number(level, loaded=True)
        self._check_at_rest(number)
        self._elastic.switch(self, number)
        return self

    def grow(self, level: int | str) -> Self:
        """Load the levels up to this one, change the network to it, and return it.

        Of the file only what is missing is read; what was trained since stays and gets the file's shells around it.
        Parameters of smaller levels stay the same objects. Raises UnknownName, FileFormatError if the file is another,
        LiveNetwork in training for a level of few bits.
        """
        number = self._number(level)
        self._check_at_rest(number)
        if number > self._elastic.stores.top:
            self._elastic.grow(self, number)
        self._elastic.switch(self, number)
        return self

    def plain(self) -> nn.Module:
        """Return an ordinary network of the current level, of its own class; it shares no weights with this one.

        At a level of few bits it is the quantised network that `elastic.checkpoint.load` gives.
        """
        state = self.state_dict()
        new = copy.deepcopy(self)
        _make_plain(new)
        with torch.no_grad():
            for name, tensor in new.state_dict(keep_vars=True).items():
                tensor.data = state[name].clone()
        return new

    def level_state(self, level: int | str) -> dict[str, Tensor]:
        """Return the state dict of a loaded level, as the file orders it; the network stays at its own.

        Of a level of few bits it is that of `elastic.load_state`: what packed weights stand for, without steps.
        """
        return self._elastic.state(self._number(level, loaded=True))

    def measure(self, example: Tensor, *, runs: int = 50) -> Mapping[str, Timing]:
        """Return the latency of each loaded level on an example, on this device, and keep it for `for_latency`.

        The network is at its level again after it.
        """
        self._timings = measure_levels(self, example, runs=runs)
        return self._timings

    def for_latency(self, seconds: float, *, quantile: str = "p99", example: Tensor | None = None) -> Timing:
        """Change the network to the largest level that takes at most so long, by `p50` or `p99`, and return its timing.

        Levels are measured at the first call, on one image of noise of the size that the file gives, or on `example`.

        Raises TargetError if no level is that fast, UnknownName for another quantile.
        """
        if example is not None or not self.__dict__.get("_timings"):
            self.measure(self._example() if example is None else example)
        chosen = choose(self._timings, seconds, quantile)
        self.switch(chosen.level)
        return chosen

    def save_pretrained(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write the network as it is now, with all levels, into a folder, with a model card; return the file's path.

        Raises PathError if a level of the file was never loaded, OutputExists.
        """
        from elastic.runtime.folders import save_into

        return save_into(self._elastic, own_class(self), self, Path(folder), overwrite=overwrite)

    @classmethod
    def from_pretrained(cls, folder: str | Path, level: int | str | None = None, **options: Any) -> "ElasticModel":
        """Return a level of what `save_pretrained` wrote; options as of `load`."""
        from elastic.runtime.folders import file_in

        return load(file_in(Path(folder)), level, **options)

    def state_dict(self, *arguments: Any, **options: Any) -> Any:
        """Return the state dict of the current level in the order of the file, as torch's own would."""
        found = super().state_dict(*arguments, **options)
        live, prefix = self._elastic, options.get("prefix", "")
        if live.level in live.packed:  # which has that order
            return found
        for name in live.stores.layout.header.names:
            own = live.stores.layout.header.aliases.get(name, name)
            found[prefix + name] = live.stores.in_order(own, live.level, found[prefix + name])
        return found

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Change the current level's weights to those of a state dict in the order of the file.

        Raises LiveNetwork at a level of few bits.
        """
        live = self._elastic
        if live.level in live.packed:
            raise LiveNetwork(f"level {self.level!r} is of few bits and can't be changed; {AT_FLOATS}")
        aliases = live.stores.layout.header.aliases
        ordered = {
            name: live.stores.in_storage(aliases.get(name, name), live.level, tensor)
            if name in live.stores.layout.header.names and tensor.dim()
            else tensor
            for name, tensor in state_dict.items()
        }
        return super().load_state_dict(ordered, strict, False)

    def train(self, mode: bool = True) -> Self:
        """Change the network to training mode, or out of it. Raises LiveNetwork at a level of few bits."""
        if mode and self._elastic.level in self._elastic.packed:
            raise LiveNetwork(f"level {self.level!r} is of few bits and can't be trained; {AT_FLOATS}")
        return super().train(mode)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        held = {name: value for name, value in vars(self).items() if name != "_elastic"}
        new.__dict__.update(copy.deepcopy(held, memo))
        new.__dict__["_elastic"] = self._elastic.copied(new)
        return new

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        self._elastic.apply(fn)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._elastic.settle(self)
        return self

    def _check_at_rest(self, level: int) -> None:
        live = self._elastic
        if level in live.packed and any(module.training for module in self.modules()):
            name = live.stores.layout.header.levels[level].name
            raise LiveNetwork(f"level {name!r} is of few bits and can't be trained; call `eval()` before the switch")

    def _number(self, level: int | str, *, loaded: bool = False) -> int:
        header, top = self._elastic.stores.layout.header, self._elastic.stores.top
        number = find_level(header, level)
        if loaded and number > top:
            raise UnknownName(
                f"level {header.levels[number].name!r} is not loaded, {self.levels[-1]!r} is the largest that is; "
                "grow to it"
            )
        return number

    def _example(self) -> Tensor:
        from elastic.runtime.folders import example_of

        return example_of(self._elastic.stores.layout.header, next(self.parameters()))


def load(
    path: str | Path, level: int | str | None = None, *, model: nn.Module | None = None, header: Header | None = None
) -> ElasticModel:
    """Return the network of a level, in eval mode, ready to switch to smaller ones and to grow; None is the largest.

    It is built by the registry from the name in the file, with the dtypes that were saved, or is `model`, changed to
    the level's shapes. It keeps its class and gains `ElasticModel`'s methods.

    Raises UnknownName for a level or model that isn't there, LiveNetwork for a file with a level that is neither of
    floats nor of few bits, FileFormatError for one that is damaged, FitError if the given model is another network.
    """
    header = header or read_header(path)
    number = find_level(header, level)
    if isinstance(model, ElasticModel):
        model._elastic.make_plain(model)
        _make_plain(model)
    layout, attributes = layout_of(Path(path)), dict[int, dict[tuple[str, str], int]]()
    if header.plan.get("attributes"):
        planned = load_plan(path)
        attributes = {each: planned.plan.sizes(planned.levels, each) for each in range(len(header.levels))}
    state = checkpoint.load_state(path, number)
    network = take_dtypes(build(header, path), state) if model is None else model
    widths = widths_of(network, layout, attributes)
    packed = packed_levels(network, layout, keeps_dtypes=model is None)
    network = fit(network, state, attributes.get(number)).eval()
    stores = Stores(layout, number)
    stores.read(number, tensors_of(network), at=number)
    live = Live(stores, widths, number, packed)
    live.settle(network)
    return _made_elastic(network, live)


def _made_elastic(network: Any, live: Live) -> ElasticModel:
    kind: type[nn.Module] = type(network)
    network.__dict__["_elastic"] = live
    network.__class__ = type(f"Elastic{kind.__name__}", (ElasticModel, kind), {"__module__": kind.__module__})
    return network  # type: ignore[no-any-return]


def _make_plain(network: Any) -> None:
    learn = network.__dict__.pop("_elastic").learn
    network.__class__ = own_class(network)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(learn.get(name, parameter.requires_grad))
