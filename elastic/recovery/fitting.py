"""Fitting: the weights of one layer solved for, and those of the layer before for its sake."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from elastic.recovery import ridge
from elastic.recovery.branches import Branch
from elastic.recovery.pairs import Pair, after
from elastic.watching import rows
from elastic.watching.calls import Call
from elastic.watching.sites import Site

CHUNK = 1 << 22  # values that are read at once: positions by columns of all groups
PRODUCTS = 1.5e11  # of rows, by columns squared: a wider layer is fitted on fewer positions
LEAST = 8  # positions for each column, though
ENOUGH = 1024  # positions for each column: more add a thousandth to what is known
FEWER = 4  # times fewer positions where a layer will be fitted again
SPREAD = 4  # times as many positions are there to draw from
LEAST_IMAGES = 32


@dataclass(frozen=True)
class Fit:
    """How far a layer was from what is wanted, before and after: squared errors as shares of what is wanted."""

    weight: str
    before: float
    after: float


@dataclass(eq=False)
class Fitter:
    """Changes weights, and remembers what later parts of the images need: products of rows, not rows.

    `shift`: changes the tensor of that name by a constant for each output.
    """

    strength: float
    positions: int
    rounds: int
    generator: torch.Generator
    shift: Callable[[str, Tensor], object]
    parts: int = 1  # that are left, this one too
    is_first: bool = True  # whether this part is
    fits: dict[str, Fit] = field(default_factory=dict)
    known: dict[int, tuple[ridge.Products, float]] = field(default_factory=dict)  # for the next part; what was wanted
    read: dict[int, ridge.Products] = field(default_factory=dict)  # what layers were last fitted with, in the first
    advanced: set[int] = field(default_factory=set)  # layers whose own outputs are not matched any more

    def next_part(self) -> None:
        """Go on to other images; what is known of these stays known."""
        self.parts -= 1
        self.is_first = False

    def fit(self, branch: Branch, *, again: bool = False) -> bool:
        """Change the weights of a layer by what its error asks for; return whether they had to.

        `again`: it will be fitted again, so that fewer positions are enough.
        """
        site = branch.site
        if site.call in self.advanced:
            return False
        most = self._most(rows.layer_of(branch.call), FEWER if again else 1)
        if site.is_divisible:
            branch = branch.on(self._some_images(branch.call, SPREAD * most))
        layer = rows.layer_of(branch.call)
        made: Tensor = branch.call.run()
        error = branch.error(made)
        if error is None:
            return False
        found, energy = self._products(site, layer, made, error, most)
        step = ridge.solve(found, strength=self.strength)
        before = self.fits[site.weight].before if site.weight in self.fits else step.before / energy
        self.fits[site.weight] = Fit(site.weight, before, step.after / energy)
        if self.parts > 1:
            self.known[site.call] = (ridge.moved(found, step), energy)
        self._take(site, layer, step.weights, step.constant)
        return True

    def advance(self, site: Site, call: Call, path: Sequence[Call], branch: Branch) -> Branch | None:
        """Change the weights of the layer before a branch, of `site`; return the branch that reads what that makes.

        None if no step helps. The branch is to be fitted again, and so only in the first part of the images: what is
        known of the branch from there holds for the layer before as it is.
        """
        images = self._some_images(call, self._most(rows.layer_of(call)))
        part = call.with_first(call.args[0][images])
        pair = Pair(part, path, branch.on(images), self._factors(site, part), site.shift is not None)
        steps = 0
        while steps < self.rounds and pair.advance(self.generator):
            steps += 1
            if steps < self.rounds:
                self.fit(pair.second.reading(pair.read(pair.made)), again=True)
        if not steps:
            return None
        self._take(site, pair.layer, pair.step, pair.constant)
        self.advanced.add(site.call)
        self.known.pop(site.call, None)
        return branch.reading(after(call.run(), path))

    def _products(
        self, site: Site, layer: rows.Layer, made: Tensor, error: Tensor, most: int
    ) -> tuple[ridge.Products, float]:
        """Return what a layer is solved for with, that of earlier parts too, and the square of what is wanted."""
        index = rows.choose(made, layer, most, self.generator)
        found = ridge.products(_chunks(layer, error, index), constant=site.shift is not None)
        wanted = rows.at(made, layer, index) + rows.at(error, layer, index)
        energy = float(wanted.square().sum(dtype=torch.float64)) or 1.0
        if self.is_first:
            self.read[site.call] = found
        elif site.call in self.known:
            earlier, before = self.known.pop(site.call)
            found, energy = found.joined_to(earlier), energy + before
        return found, energy

    def _factors(self, site: Site, call: Call) -> ridge.Factors:
        """Return the products of what a layer reads, those that it was fitted with, where it was."""
        if site.call not in self.read:
            made, layer = call.run(), rows.layer_of(call)
            self._products(site, layer, made, torch.zeros_like(made), self._most(layer))
        return ridge.factors(self.read[site.call], self.strength)

    def _some_images(self, call: Call, most: int) -> Tensor:
        """Return images, at random, on which a layer has about so many positions; all, where there are no more."""
        layer, count = rows.layer_of(call), len(call.args[0])
        one: Tensor = call.with_first(call.args[0][:1]).run()
        enough = max(LEAST_IMAGES, most * one.shape[layer.out_dim] // one.numel())
        return torch.randperm(count, generator=self.generator)[:enough].sort().values.to(one.device)

    def _most(self, layer: rows.Layer, fewer: int = 1) -> int:
        """Return on how many positions a layer is fitted."""
        most = min(self.positions, ENOUGH * layer.columns, int(PRODUCTS / layer.columns**2)) // fewer
        return min(self.positions, max(LEAST * layer.columns, most))

    def _take(self, site: Site, layer: rows.Layer, weights: Tensor, constant: Tensor) -> None:
        layer.weight.add_(rows.as_weight(layer, weights))
        if site.shift is not None:
            self.shift(site.shift, -constant.reshape(-1) if site.is_mean else constant.reshape(-1))


def _chunks(layer: rows.Layer, error: Tensor, index: rows.Index) -> Iterator[tuple[Tensor, Tensor]]:
    size = max(256, CHUNK // (layer.groups * layer.columns))
    for first in range(0, len(index[0]), size):
        part = tuple(places[first : first + size] for places in index)
        yield rows.read(layer, part), rows.at(error, layer, part)
