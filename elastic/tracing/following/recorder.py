"""Recorder: the first run of a network, kept as a script that a run of the cut network is compared with.

Beside the script it keeps what the run is for: which cells are frozen and why, which choices were made about which
cells, the layers of the forward pass, and what they cost.
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from elastic.plan import IntArray, Layer
from elastic.tracing.following.call import Call
from elastic.tracing.following.followed import Choice, Followed
from elastic.tracing.following.follower import Follower
from elastic.tracing.following.outputs import Outputs
from elastic.tracing.following.places import lines, place_of_call
from elastic.tracing.following.recording import counted, layer_of
from elastic.tracing.following.script import SIZED, Decisions, Step, constants_of, sizes_of
from elastic.tracing.following.wholes import costs_of
from elastic.tracing.labels import Counted
from elastic.tracing.twin import Modules

# Operations that make new channels: what was chosen upstream counts until a weight does.
PRODUCTS = frozenset(["convolution", "_convolution", "mm", "addmm", "bmm", "baddbmm", "linear", "embedding", "matmul"])


class Paused(BaseException):
    """A run that ended where it was asked to. No error, so that no network catches it."""

    def __init__(self, recorder: "Recorder", path: str) -> None:
        super().__init__(path)
        self.recorder = recorder
        self.path = path


class Recorder(Follower):  # type: ignore[no-untyped-call]
    """A run that nothing is known of: what happens in it is the script."""

    def __init__(
        self, modules: Modules, decisions: Decisions, is_awaited: Callable[["Recorder", str], bool] | None = None
    ) -> None:
        super().__init__(modules, decisions)
        self.is_awaited = is_awaited
        self.frozen: list[tuple[IntArray, str]] = []
        self.chosen: dict[Choice, list[IntArray]] = {}  # the cells that each choice was about
        self.chosen_in: dict[Choice, str] = {}  # the module that made each choice first
        self.layers: list[Layer] = []
        self.numbers: dict[tuple[str, str, str | None], list[int]] = {}  # of the layers, by what they are
        self.counted: list[Counted] = []
        self.outputs = Outputs()
        self.steps: list[Step] = []

    def freeze(self, cells: IntArray, why: str) -> None:
        """Let cells never leave."""
        self.frozen.append((cells, f"{why}{where(self)}" if why else ""))
        super().freeze(cells, why)

    def lock(self, cells: IntArray, why: str) -> None:
        """Let cells of a layer that can't be followed never leave."""
        self.frozen.append((cells, why))
        super().lock(cells, why)

    def ended(self, path: str, given: Sequence[Tensor]) -> None:
        """End the run where a module has made choices that are better settled before it goes on."""
        self.outputs.held(given)
        if self.is_awaited is not None and path in self.chosen_in.values() and self.is_awaited(self, path):
            raise Paused(self, path)

    def choose(self, options: Sequence[str], cells: IntArray) -> tuple[Choice, str | None]:
        """Return the place of a choice about cells and the option that is taken there, None to freeze."""
        choice = self.choice()
        known = self.decisions.options.setdefault(choice, [])
        known += [option for option in options if option not in known]
        if choice not in self.decisions.taken:
            self.decisions.next(choice)
        taken = self.decisions.taken[choice]
        self.chosen.setdefault(choice, []).append(cells)
        self.chosen_in.setdefault(choice, self.modules[-1])
        if taken is not None and taken not in options:
            taken = options[0]  # lines that split in several ways
        return choice, taken

    def note(self, call: Call, outs: Sequence[Tensor]) -> None:
        """Keep an operation as a step of the script, and what it costs."""
        if self.is_counting and (cost := counted(call, self.modules[-1])):
            self.counted.append(cost)
        if self.is_counting:
            self.outputs.note(call.tensors(), outs, self.modules[-1], [self.followed(out).axes for out in outs])
        shapes = tuple(tuple(out.shape) for out in outs)
        axes = tuple(self.followed(out).axes for out in outs)
        place = place_of_call() if call.name in SIZED else None
        sizes = sizes_of(call, shapes, axes) if place and any(axes) else {}
        choices = frozenset(call.made).union(*(each.choices for each in self._inputs(call)))
        self.steps.append(Step(call.name, self.modules[-1], shapes, axes, constants_of(call), place, sizes, choices))

    def inherited(self, call: Call, found: list[Followed]) -> list[Followed]:
        """Return what follows the outputs, with the choices, layers and reasons that they have from the inputs."""
        inputs = self._inputs(call)
        is_product = call.name in PRODUCTS and any(each.weight for each in inputs)
        made = frozenset(call.made)
        choices = made if is_product else made.union(*(each.choices for each in inputs))
        layers = tuple(dict.fromkeys(layer for each in inputs for layer in each.layers))
        if found and (layer := layer_of(call, self.modules[-1], layers, found[0])):
            layers = (self._record(layer),)
        why = "" if is_product else next((each.why for each in inputs if each.why), "")
        elements = max((each.elements for each in inputs), default=0)
        return [Followed(f.axes, f.vanishes, choices, layers, f.weight, elements, why) for f in found]

    def _inputs(self, call: Call) -> list[Followed]:
        return [self.followed(tensor) for tensor in call.tensors()]

    def enter_recurrent(self, path: str, module: nn.RNNBase, x: Tensor) -> None:
        """Keep what a recurrent layer costs, which is not followed."""
        super().enter_recurrent(path, module, x)
        self.counted += costs_of(path, module, x) if self.is_counting else []

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


def where(follower: Follower) -> str:
    """Return where a network is, for a reason."""
    line = next((f"{name.rpartition('/')[2]}:{number}" for name, number in lines() if "/torch/" not in name), "")
    module = f", module {follower.modules[-1]}" if follower.modules[-1] else ""
    return f" ({line}{module})" if line else ""
