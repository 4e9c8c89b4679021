"""Passing: one pass of the cut network in step with the whole one, in which layers change before others read them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elastic.plan import IntArray
from elastic.recovery.branches import Branch
from elastic.recovery.companion import Companion
from elastic.recovery.fitting import Fitter
from elastic.watching import rows
from elastic.watching.calls import Call
from elastic.watching.sites import Site, by_end


@dataclass(eq=False)
class Pass:
    """Answers the calls of the cut network. `kept`: positions that it has of the whole one's axes."""

    sites: Sequence[Site]
    kept: Mapping[str, Mapping[int, IntArray]]
    wanted: Companion
    fitter: Fitter
    report: Callable[[int], None]  # is told how many more layers are done

    def __post_init__(self) -> None:
        self.by_call = {site.call: site for site in self.sites}
        self.ends = by_end(self.sites)
        pairs = [site for site in self.sites if site.before is not None and self.fitter.rounds]
        self.firsts = {site.before for site in pairs}
        chains = {number for site in self.sites for number, _ in site.chain if number != site.at}
        self.light = {number for site in pairs for number in site.path} - chains  # what they read is made anew
        self.awaited = {site.call for site in self.sites if site.at != site.call} | self.firsts | chains | self.light
        self.calls: dict[int, Call] = {}  # of layers that are still needed, and those between

    def answer(self, call: Call) -> Any:
        """Return what a call makes, once the layers that it ends are fitted."""
        if call.number in self.awaited:
            self.calls[call.number] = call.with_first(None) if call.number in self.light else call
        sites = self.ends.get(call.number)
        if sites is None:
            return NotImplemented
        made = self._fit_alone(sites[0], call) if sites[0].total is None else self._fit_sum(sites, call)
        for site in sites:
            self._forget(site)
        self.report(len(sites))
        return made

    def _fit_alone(self, site: Site, call: Call) -> Tensor:
        made: Tensor = call.run()
        wanted = self._kept_of(self.wanted.next(), made, site)
        if wanted is None or torch.equal(made, wanted):
            return made
        layer, norm = (call, ()) if site.at == site.call else (self.calls[site.call], ((call, 0),))
        branch = self._fitted(Branch(site, layer, norm, wanted))
        return made if branch is None else branch.end(branch.call.run())

    def _fit_sum(self, sites: Sequence[Site], call: Call) -> Tensor:
        whole, operands = self.wanted.next(), list(call.args[:2])
        # The layer with the most weights first: what it can't reach is left for the other.
        for site in sorted(sites, key=lambda site: -rows.layer_of(self.calls[site.call]).columns):
            wanted = self._kept_of(whole, operands[site.side], site)
            if wanted is None or torch.equal(operands[0] + operands[1], wanted):
                continue
            between = [(self.calls[number], side) for number, side in site.chain]
            branch = self._fitted(Branch(site, self.calls[site.call], between, wanted - operands[1 - site.side]))
            if branch is not None:
                operands[site.side] = branch.end(branch.call.run())
        result: Tensor = call.run(dict(enumerate(operands)))
        return result

    def _fitted(self, branch: Branch) -> Branch | None:
        """Change the weights of a layer, and of the one before; return the branch as it is then, None if it stays."""
        site = branch.site
        is_second = self.fitter.is_first and site.before in self.firsts
        if not self.fitter.fit(branch, again=is_second):
            return None
        if is_second:
            path, first = [self.calls[number] for number in site.path], self.by_call[site.before or 0]
            branch = self.fitter.advance(first, self.calls[first.call], path, branch) or branch
            self.fitter.fit(branch)
        if site.call in self.firsts:
            self.calls[site.call] = branch.call
        return branch

    def _forget(self, site: Site) -> None:
        """Let go of what nobody needs from here on."""
        for number in (site.before, *site.path, *(number for number, _ in site.chain if number != site.at)):
            self.calls.pop(number, None)  # type: ignore[arg-type]
            self.fitter.read.pop(number, None)  # type: ignore[arg-type]
        if site.call not in self.firsts:
            self.calls.pop(site.call, None)
            self.fitter.read.pop(site.call, None)

    def _kept_of(self, whole: Tensor, cut: Tensor, site: Site) -> Tensor | None:
        """Return the channels that the cut network has of a tensor; None where shapes don't tell which they are."""
        differ = [dim for dim, (a, b) in enumerate(zip(whole.shape, cut.shape, strict=True)) if a != b]
        if not differ:
            return whole
        kept = self.kept.get(site.weight, {}).get(0)
        if len(differ) > 1 or kept is None or len(kept) != cut.shape[differ[0]]:
            return None
        return whole.index_select(differ[0], torch.from_numpy(kept).to(whole.device))
