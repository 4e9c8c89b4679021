"""Heat maps: where an image was computed in full, for all gated layers together."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elastic.dynamic.counting import counters
from elastic.errors import DataError, UnknownName
from elastic.modes import eval_mode

PIXELS = 2  # axes of an image


@torch.no_grad()
def heat_maps(network: nn.Module, images: Tensor, layers: Sequence[str] = ()) -> Tensor:
    """Return for each pixel of images [n, c, h, w] the share of what gates decide that was computed, [n, h, w].

    Layers count by what their open gates cost; only those that are named, or all. A pixel of a smaller map counts for
    all that it stands for. Counters go on counting.

    Raises NothingToGate without gates, UnknownName for a layer that has none, DataError for what are no images.
    """
    if images.dim() != 2 + PIXELS:
        raise DataError(f"heat maps are of images [n, c, h, w], not of shape {list(images.shape)}")
    found = counters(network)
    if unknown := sorted(set(layers) - set(found)):
        raise UnknownName(f"no gated layer is called {unknown[0]!r}; there are: {', '.join(found)}")
    found = {name: found[name] for name in layers or found}
    with eval_mode(network):
        network(images.to(next(network.parameters()).device))
    total, weights = torch.zeros(len(images), *images.shape[-PIXELS:]), 0.0
    for each in found.values():
        assert each.last is not None
        share = each.last.float().mean(1, keepdim=True).cpu()  # [n, 1, h, w], or [n, 1, 1, 1]
        weight = float(each.full - each.base) * each.positions.item() / max(1, each.images.item())
        total += weight * F.interpolate(share, size=total.shape[1:], mode="nearest")[:, 0]
        weights += weight
    return total / weights
