"""Paying: layers whose gates take more time than they save on this machine are computed in full."""

import time

import torch
from torch import Tensor, nn

from elastic.dynamic.channel.inference import inputs_of_layers, skipping_layers
from elastic.dynamic.channel.splitting import Skipping
from elastic.dynamic.counting import counters
from elastic.dynamic.skipping.choosing import WORTH
from elastic.errors import CannotSkip
from elastic.measuring import Clock, median_seconds

ROUNDS = 4  # what is opened changes what later layers read


def open_where_slower(
    network: nn.Module, images: Tensor, *, runs: int = 7, clock: Clock = time.perf_counter
) -> tuple[str, ...]:
    """Change a network that skips to open the gates of layers that are not faster than one convolution; return which.

    Images [n, c, h, w] should be such as it will see, in batches of the size that it will see: what is open on them
    decides. Opened layers have thresholds of minus infinity: the network computes more, by the clock in less time, and
    its outputs are those of the gated network with such thresholds. Test its accuracy anew. A layer has to save a
    twentieth to stay: within a network less is often lost again. Counters stay.

    Raises CannotSkip for a network that does not skip.
    """
    layers = skipping_layers(network)
    if not layers:
        raise CannotSkip(f"{type(network).__name__} does not skip; give what `skipping_network` made of the gated one")
    kept = [(buffer, buffer.clone()) for each in counters(network).values() for buffer in each.buffers()]
    images = images.contiguous(memory_format=torch.channels_last)
    found: list[str] = []
    with torch.inference_mode():
        for _ in range(ROUNDS):
            seen = inputs_of_layers(network, images)
            slower = [name for name, inputs in seen.items() if _is_slower(layers[name], inputs, runs, clock)]
            for name in slower:
                layers[name].open_for_good()
            found += slower
            if not slower:
                break
        for buffer, before in kept:
            buffer.copy_(before)
    return tuple(name for name in layers if name in found)


def _is_slower(layer: Skipping, inputs: Tensor, runs: int, clock: Clock) -> bool:
    if layer.is_open:
        return False
    ways = {"skipping": lambda: layer(inputs), "in full": lambda: layer.in_full(inputs)}
    found = median_seconds(ways, runs=runs, clock=clock, warm_up=1)
    return found["skipping"] > WORTH * found["in full"]
