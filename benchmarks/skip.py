"""Time a gated ResNet-18 that skips what is closed, beside the dense and the masked one, and each of its layers.

    python benchmarks/skip.py && python benchmarks/skip.py --table docs/skip.md

torchvision's resnet18, random weights, eval mode, norms folded into convolutions in all networks alike. Its 16
convolutions of 3x3 in blocks are gated: the first 1/4 or 1/8 of the input channels are the base, the rest is computed
where a mask [n, oh, ow] is open. Masks are drawn and given: what a gate would cost to decide is not counted; all else
is, finding the open pixels included. All ways have the same masks, and run in turns. Settled is skipping with the gates
opened of layers that are slower than a dense one (`open_where_slower`). A run that was stopped goes on where it was.
`--clock thread` counts the time of one thread, for machines that do other things too.
"""

import argparse
import copy
import itertools
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from isolated import Record
from records import add_record, read_records
from skip_table import markdown_page
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from elastic import models
from elastic.costs import CostModel
from elastic.dynamic.skipping import Choice, add_open, choose, conditional_of
from elastic.dynamic.skipping.choosing import WORTH, name_of
from elastic.measuring import median_seconds
from elastic.tracing import trace

NETWORK, SIZE = "torchvision/resnet18", 224
MASKS = ("random", "correlated")
CELL = 8  # pixels between the independent values of a correlated mask
CLOCKS = {"wall": time.perf_counter, "thread": time.thread_time}


class Gated(nn.Module):
    """A convolution of which a part is conditional; `mask`, `way` and what is open for good are set from outside."""

    mask: Tensor
    way: str = "skipping"
    is_open = False  # in a settled network

    def __init__(self, layer: nn.Conv2d, part: int) -> None:
        super().__init__()
        self.first = layer.in_channels // part
        self.part, self.layer = conditional_of(layer, self.first), layer
        self.base = layer.weight[:, : self.first].detach().clone(memory_format=torch.channels_last)
        self.choice: Choice | None = None

    def of_base(self, inputs: Tensor) -> Tensor:
        seen, layer = inputs[:, : self.first], self.layer
        return F.conv2d(seen, self.base, layer.bias, layer.stride, layer.padding)

    def forward(self, inputs: Tensor) -> Tensor:
        self.shape = inputs.shape
        if self.is_open and self.way == "settled":
            made: Tensor = self.layer(inputs)
            return made
        choice = None if self.way == "masked" else self.choice
        return add_open(self.part, inputs, self.mask, self.of_base(inputs), choice)


def main() -> None:
    parser = argparse.ArgumentParser(description="What skipping saves.")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--parts", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--closed", type=int, nargs="+", default=[50, 70, 90], help="percent")
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--out", type=Path, default=Path("build/skip.jsonl"), help="one JSON object a line")
    parser.add_argument("--table", type=Path, help="write the records as Markdown, and run nothing")
    asked = parser.parse_args()
    if asked.table:
        asked.table.write_text(markdown_page(read_records(asked.out)))
        return
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    for threads, batch, part in itertools.product(asked.threads, asked.batches, asked.parts):
        torch.set_num_threads(threads)
        name = f"batch {batch}, threads {threads}, base 1/{part}"
        add_record(asked.out, name, lambda batch=batch, part=part: measured(batch, part, asked))
    torch.set_num_threads(1)
    add_record(asked.out, "integers", lambda: integers(asked))


@torch.inference_mode()
def measured(batch: int, part: int, asked: argparse.Namespace) -> Record:
    """Return milliseconds of networks and layers, and the break-even of each layer."""
    torch.manual_seed(0)
    dense = folded(models.build(NETWORK).eval())
    images = torch.randn(batch, 3, SIZE, SIZE)
    gated = copy.deepcopy(dense).to(memory_format=torch.channels_last)
    places = {name: each for name, each in gated.named_modules() if is_gated(name, each)}
    for name, layer in places.items():
        gated.set_submodule(name, Gated(layer, part))
    layers = {name: each for name, each in gated.named_modules() if isinstance(each, Gated)}
    sizes_of(gated, layers, images)
    choices, whole = chosen(layers, asked), CostModel(trace(dense, images[:1])).dense.macs
    last = copy.deepcopy(dense).to(memory_format=torch.channels_last)
    images_last = images.to(memory_format=torch.channels_last)
    networks = []
    for kind, closed in itertools.product(MASKS, asked.closed):
        for layer in layers.values():
            layer.mask = drawn(kind, layer.mask.shape, closed / 100)
        settle(layers, asked)
        ways = {way: partial(run, gated, layers, images_last, way) for way in ("masked", "skipping", "settled")}
        found = milliseconds(
            {"contiguous": lambda: dense(images), "channels last": lambda: last(images_last), **ways}, asked
        )
        theirs = {way: fewer(layers, whole, way) for way in ("skipping", "settled")}
        opened = sum(layer.is_open for layer in layers.values())
        networks.append({"mask": kind, "closed": closed, **found, "fewer": theirs, "opened": opened})
    rows = of_layers(layers, asked)
    return {"batch": batch, "threads": torch.get_num_threads(), "part": part, "clock": asked.clock,
            "runs": asked.runs, "networks": networks, "layers": rows, "choices": len(choices)}  # fmt: skip


def of_layers(layers: Mapping[str, Gated], asked: argparse.Namespace) -> list[Record]:
    """Return a record for each shape and share: dense layers, what is always computed, masked, skipping."""
    shapes = {name_of(each.part, torch.empty(each.shape), each.mask): each for each in layers.values()}
    return [of_layer(layer, closed, asked) for layer in shapes.values() for closed in (0, *asked.closed)]


def of_layer(layer: Gated, closed: int, asked: argparse.Namespace) -> Record:
    inputs, own = torch.randn(layer.shape).to(memory_format=torch.channels_last), layer.layer
    plain, weight = inputs.contiguous(), own.weight.contiguous()
    layer.mask = drawn("random", layer.mask.shape, closed / 100)
    found = milliseconds(
        {
            "contiguous": lambda: F.conv2d(plain, weight, own.bias, own.stride, own.padding),
            "channels last": lambda: own(inputs),
            "base": lambda: layer.of_base(inputs),
            "masked": lambda: run(layer, {"": layer}, inputs, "masked"),
            "skipping": lambda: run(layer, {"": layer}, inputs, "skipping"),
        },
        asked,
    )
    assert layer.choice is not None
    even = layer.choice.break_even("rows") / layer.mask.numel()
    way = layer.choice.way(layer.mask, layer.part.outputs)
    shape = f"{own.in_channels} to {own.out_channels}, {layer.shape[2]} px, stride {own.stride[0]}"
    return {"layer": shape, "closed": closed, "break_even": even, "way": way, **found}


def chosen(layers: Mapping[str, Gated], asked: argparse.Namespace) -> dict[str, Choice]:
    """Change the layers to have their choices, which are measured once for each shape."""
    choices: dict[str, Choice] = {}
    for layer in layers.values():
        inputs = torch.empty(layer.shape)
        name = name_of(layer.part, inputs, layer.mask)
        if name not in choices:
            choices[name] = choose(layer.part, inputs, layer.mask, runs=min(5, asked.runs), clock=CLOCKS[asked.clock])
        layer.choice = choices[name]
    return choices


def settle(layers: Mapping[str, Gated], asked: argparse.Namespace) -> None:
    """Change layers that are slower than dense ones, with the masks that they have, to be open for good."""
    for layer in layers.values():
        inputs = torch.randn(layer.shape).to(memory_format=torch.channels_last)
        layer.way = "skipping"
        found = milliseconds({"dense": partial(layer.layer, inputs), "skipping": partial(layer, inputs)}, asked)
        layer.is_open = found["skipping"] > WORTH * found["dense"]


def fewer(layers: Mapping[str, Gated], whole: int, way: str) -> float:
    """Return how many times fewer MACs the network has, of which so many are in all layers."""
    saved = 0.0
    for layer in layers.values():
        count = layer.part.weight.numel() * layer.mask[0].numel()
        saved += 0.0 if layer.is_open and way == "settled" else count * (1 - float(layer.mask.float().mean()))
    return round(whole / (whole - saved), 3)


def sizes_of(gated: nn.Module, layers: Mapping[str, Gated], images: Tensor) -> None:
    """Change each layer's mask to an open one of the right size."""
    for layer in layers.values():
        layer.register_forward_pre_hook(open_all)
    gated(images)
    for layer in layers.values():
        layer._forward_pre_hooks.clear()


def open_all(layer: Gated, inputs: tuple[Tensor, ...]) -> None:
    count, _, *size = inputs[0].shape
    layer.mask = torch.ones(count, *layer.part.size(*size), dtype=torch.bool)


def run(network: nn.Module, layers: Mapping[str, Gated], images: Tensor, way: str) -> Tensor:
    for layer in layers.values():
        layer.way = way
    made: Tensor = network(images)
    return made


def folded(network: nn.Module) -> nn.Module:
    """Return it with each norm in the convolution before it."""
    for owner in [network, *network.modules()]:
        for conv, norm in (("conv1", "bn1"), ("conv2", "bn2"), ("0", "1")):
            pair = getattr(owner, conv, None), getattr(owner, norm, None)
            if isinstance(pair[0], nn.Conv2d) and isinstance(pair[1], nn.BatchNorm2d):
                setattr(owner, conv, fuse_conv_bn_eval(*pair))
                setattr(owner, norm, nn.Identity())
    return network


def is_gated(name: str, module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3) and name.startswith("layer")


def drawn(kind: str, shape: torch.Size, closed: float) -> Tensor:
    """Return a mask [n, oh, ow] of which a share is closed: pixels on their own, or patches of smooth noise."""
    count, high, wide = shape
    values = torch.rand(shape)
    if kind == "correlated":
        coarse = torch.randn(count, 1, high // CELL + 2, wide // CELL + 2)
        values = F.interpolate(coarse, size=(high, wide), mode="bicubic", align_corners=True)[:, 0]
    order = values.flatten().argsort()
    mask = torch.ones(values.numel(), dtype=torch.bool)
    mask[order[: round(closed * values.numel())]] = False
    return mask.view(shape)


def milliseconds(ways: Mapping[str, Callable[[], Tensor]], asked: argparse.Namespace) -> dict[str, float]:
    """Return the median of each, in turns."""
    found = median_seconds(ways, runs=asked.runs, clock=CLOCKS[asked.clock])
    return {name: round(1e3 * seconds, 4) for name, seconds in found.items()}


def integers(asked: argparse.Namespace) -> Record:
    """Return milliseconds of products of gathered rows in float32, and in int8 with sums in int32."""
    shapes = ((3136, 576, 64), (784, 1152, 128), (196, 2304, 256), (49, 4608, 512))
    return {"products": [product(*shape, asked) for shape in shapes], "clock": asked.clock}


def product(count: int, inner: int, outputs: int, asked: argparse.Namespace) -> Record:
    left, right = torch.randn(count, inner), torch.randn(inner, outputs)
    few, weights = left.mul(30).char(), right.mul(30).char()
    packed = torch.ops.quantized.linear_prepack(torch.quantize_per_tensor(right.T, 0.05, 0, torch.qint8), None)
    rounded = torch.quantize_per_tensor(left, 0.05, 128, torch.quint8)
    ways = {
        "float32": lambda: left @ right,
        "int_mm": lambda: torch._int_mm(few, weights),
        "quantized": lambda: torch.ops.quantized.linear(rounded, packed, 0.1, 128),
    }
    found = milliseconds(ways, asked)
    return {"rows": count, "inner": inner, "outputs": outputs, **found}


if __name__ == "__main__":
    main()
