"""Seeing: what there is to look at of a gated level: layers, the curve of its thresholds, images with their maps."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from elastic.dynamic.channel.inference import skipping_network
from elastic.dynamic.channel.layers import ChannelGated
from elastic.dynamic.channel.saving import Saving, savings
from elastic.dynamic.counting import counters
from elastic.dynamic.curves import Point, curve
from elastic.dynamic.heat import heat_maps
from elastic.dynamic.spending import Spending, elsewhere_of, spending
from elastic.errors import CannotSkip
from elastic.metadata import Level
from elastic.modes import eval_mode
from elastic.training import Epoch

log = logging.getLogger(__name__)

SHIFTS = (-2.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0)  # of thresholds, in standard deviations of sums
WIDEST = 32  # pixels of a map that is shown


@dataclass(frozen=True, eq=False)
class Seen:
    """One level; maps are of images [n, h, w], at most 32 pixels wide, shares that were computed, and their means.

    `savings` are those of one image on this machine, none where no layer can skip.
    """

    level: Level
    spending: Spending
    savings: tuple[Saving, ...]
    points: Sequence[Point]
    images: Tensor
    maps: Tensor
    epochs: Sequence[Epoch]


def see(
    level: Level,
    network: nn.Module,
    loader: DataLoader[tuple[Tensor, Tensor]],
    *,
    maps: int,
    epochs: Sequence[Epoch] = (),
) -> Seen:
    """Return what there is to see of a level's network on images; so many of the first get maps."""
    images = next(iter(loader))[0][:maps]
    scale = threshold_scale(network)
    with eval_mode(network), torch.no_grad():
        elsewhere = elsewhere_of(network, level.macs, images)
        points = curve(network, loader, [scale * shift for shift in SHIFTS], elsewhere)
        for batch, _ in loader:
            network(batch)
        found = spending(network, level.macs)
        heat = heat_maps(network, images)
        saved = _savings(network, images[:1], elsewhere)
    grey = images.mean(1)
    return Seen(level, found, saved, points, _small(grey), _small(heat), epochs)


def threshold_scale(network: nn.Module) -> float:
    """Return what one step of thresholds is: 1 for normalised sums, else their mean distance from zero."""
    if any(isinstance(module, ChannelGated) for module in network.modules()):
        return 1.0
    thresholds = [network.get_parameter(f"{name}.gate.threshold").detach() for name in counters(network)]
    return float(torch.cat([each.abs() for each in thresholds]).mean()) or 1.0


def _savings(network: nn.Module, image: Tensor, elsewhere: int) -> tuple[Saving, ...]:
    """Return what skipping saves with one image, nothing where no layer can skip."""
    if not any(isinstance(module, ChannelGated) for module in network.modules()):
        return ()
    try:
        skipping = skipping_network(network, image)
    except CannotSkip as reason:
        log.info("not timed: %s", reason)
        return ()
    return savings(network, skipping, image, elsewhere=elsewhere)


def _small(maps: Tensor) -> Tensor:
    height, width = maps.shape[-2:]
    return F.adaptive_avg_pool2d(maps, (min(WIDEST, height), min(WIDEST, width)))
