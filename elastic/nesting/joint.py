"""Joint: all levels are trained at once, on weights that they share.

In each step the largest level, the smallest and some in between see the same images; the largest learns from labels
and from its teacher, the others from labels and from what the largest makes (Yu and Huang, "Universally Slimmable
Networks", ICCV 2019, sections 3.2 and 3.3, with the losses of this toolkit's recipes). Norms and biases are a level's
own (Yu et al., "Slimmable Neural Networks", ICLR 2019, section 3.2), or their weights are shared too and what they
measured is estimated anew for each level in the end (section 3.4 of the former).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.func import functional_call

from elastic.cutting import cut
from elastic.data import images_loader
from elastic.metadata import kept
from elastic.nesting.family import Family, States, shared_names
from elastic.plan import LevelArray, Plan
from elastic.recovery import reestimate_norms
from elastic.training import Epoch, Recipe, train

Norms = Literal["private", "re-estimated"]
NORMS: tuple[str, ...] = get_args(Norms)
FOR_NORMS = 2048  # images


class Joint(nn.Module):
    """Networks of several levels on the weights of the largest; what they do not share, each smaller one has itself.

    In training mode it gives the logits of the levels of a step, the largest first; in eval mode those of the largest.
    """

    def __init__(
        self, whole: nn.Module, smaller: Sequence[nn.Module], plan: Plan, levels: LevelArray, *,
        shared: Sequence[str], between: int,
    ) -> None:  # fmt: skip
        """Take over the networks, smallest first; what they share is emptied. `between` levels join each step."""
        super().__init__()
        self.whole, self.smaller = whole, nn.ModuleList(smaller)
        self.aliases, self.shared, self.between = plan.aliases, shared, between
        positions = plan.position_levels(levels)
        self.places: list[dict[str, dict[int, Tensor]]] = [
            {name: _places(positions.get(name, {}), level) for name in shared} for level in range(len(smaller))
        ]
        names = {*shared, *(alias for alias, name in plan.aliases.items() if name in shared)}
        for network in smaller:
            for name, parameter in network.named_parameters(remove_duplicate=False):
                if name in names:
                    parameter.data = parameter.data.new_empty(0)
                    parameter.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return logits [n, classes], of each level of the step in training mode."""
        made = self.whole(images)
        if not self.training:
            return made  # type: ignore[no-any-return]
        return (made, *(self.run(level, images) for level in self.drawn()))

    def run(self, level: int, images: Tensor) -> Any:
        """Return what a smaller level makes of images."""
        return functional_call(self.smaller[level], self.weights(level), (images,))

    def weights(self, level: int) -> dict[str, Tensor]:
        """Return a smaller level's part of the shared weights; gradients go back to these."""
        own, places = dict(self.whole.named_parameters()), self.places[level]
        found: dict[str, Tensor] = {}
        for name in self.shared:
            tensor: Tensor = own[name]
            for axis, index in places[name].items():
                if index.device != tensor.device:
                    index = places[name][axis] = index.to(tensor.device)
                tensor = tensor.index_select(axis, index)
            found[name] = tensor
        return found

    def state(self, level: int) -> dict[str, Tensor]:
        """Return the state dict of a smaller level."""
        shared = self.weights(level)
        state = self.smaller[level].state_dict()
        return {name: shared.get(self.aliases.get(name, name), tensor).detach() for name, tensor in state.items()}

    def drawn(self) -> list[int]:
        """Return the smaller levels of a step: the smallest, and some drawn with torch's generator."""
        others = torch.randperm(max(0, len(self.smaller) - 1))[: self.between] + 1
        return [*sorted(others.tolist(), reverse=True), 0]


def train_jointly(
    family: Family, dataset: Any, recipe: Recipe, options: dict[str, Any], *, between: int, norms: Norms
) -> tuple[States, tuple[Epoch, ...]]:
    """Return the weights of every level, all trained at once from the largest level's, and what was told.

    The largest level as it is in the file is the teacher of the largest. Raises what `train` raises.
    """
    plan, levels = family.planned.plan, family.planned.levels
    whole = family.working(family.last)
    state = family.whole.state_dict()
    smaller = [family.working(level, cut(state, plan, levels, level)) for level in range(family.last)]
    shared = shared_names(plan, with_head=True, with_vectors=norms == "re-estimated")
    together = Joint(whole, smaller, plan, levels, shared=shared, between=between)
    teacher = None if recipe.distil == 0 else family.working(family.last)
    chosen = [parameter for parameter in together.parameters() if parameter.requires_grad]
    told = train(together, dataset, recipe, teacher=teacher, parameters=chosen, leaves_out=True, **options)
    states: States = {}
    for level in range(family.last):
        network = family.working(level, together.state(level))
        if norms == "re-estimated":
            loader = images_loader(dataset, recipe.batch, limit=FOR_NORMS, seed=recipe.seed)
            reestimate_norms(network, (images for images, _ in loader))
        states[level] = family.as_stored(network, level)
    states[family.last] = family.as_stored(whole, family.last)
    return states, told


def _places(axes: Mapping[int, LevelArray], level: int) -> dict[int, Tensor]:
    """Return where the tensor of a level lies within the largest one's, along each axis of which it has not all."""
    return {axis: torch.from_numpy(kept(of, level)) for axis, of in axes.items() if not (of <= level).all()}
