"""Recovering: where what is left after the cut begins, before it is tuned.

There are two beginnings: the weights that were trained beside the gates, with norms estimated anew, and the model's own
weights, repaired. Which one is closer to the model on images, without labels, depends on how long gates were trained.
"""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elastic.cutting import cut
from elastic.fitting import fitted
from elastic.modes import eval_mode
from elastic.plan import LevelArray, Plan
from elastic.recovery import reestimate_norms, repair

BATCH = 250


def recovered(
    network: nn.Module,
    whole: nn.Module,
    plan: Plan,
    levels: LevelArray,
    inputs: Tensor,
    *,
    rounded: Callable[[nn.Module, Iterable[Tensor]], nn.Module] | None = None,
) -> nn.Module:
    """Return the better beginning of level 0; `network` is that of the trained weights, which change.

    `inputs` [N, ..] are images; `rounded` makes of a network what the trained one is of, where that rounds.
    """
    reestimate_norms(network, torch.split(inputs, BATCH))
    own = fitted(whole, cut(whole.state_dict(), plan, levels, 0), plan.sizes(levels, 0)).eval()
    repair(own, whole, plan, levels, inputs, level=0)
    if rounded is not None:
        own = rounded(own, torch.split(inputs, BATCH))
    return min((own, network), key=lambda each: distance(each, whole, inputs))


@torch.no_grad()
def distance(network: nn.Module, whole: nn.Module, inputs: Tensor) -> float:
    """Return the mean divergence of a network's classes from the whole one's, in nats an image."""
    total = 0.0
    with eval_mode(network), eval_mode(whole):
        for images in torch.split(inputs, BATCH):
            found, wanted = (F.log_softmax(each(images).float(), 1) for each in (network, whole))
            total += float(F.kl_div(found, wanted, reduction="sum", log_target=True))
    return total / len(inputs)
