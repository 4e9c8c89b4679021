"""Running: every criterion with every allocation and seed, one network at a time, each remembered once it is measured.

Seeds come first in the order, so that a comparison that was stopped has every choice with the same seeds.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from torch import nn

from elastic import fingerprints
from elastic.comparing.choices import Choices, Options, check_data, with_controls
from elastic.comparing.keeping import Key, open_book
from elastic.comparing.records import Header, Hits, Measured, Run
from elastic.comparing.results import Comparison
from elastic.errors import DataError, TargetError
from elastic.importance import Batches, Criterion, Scores, score
from elastic.plan import Plan
from elastic.pruning import inputs_of, prune
from elastic.targets import Target, parse_target
from elastic.tracing import Example
from elastic.version import VERSION

Measure = Callable[[nn.Module], float | Hits]
Progress = Callable[[Run, int, int], None]  # the run that is done, runs done, runs in all


def compare(
    model: nn.Module,
    example: Example,
    *,
    target: str | Target,
    criteria: Sequence[str] | Mapping[str, str | Criterion],
    allocations: Sequence[str] | Mapping[str, Options],
    measure: Measure,
    seeds: Sequence[int] = range(3),
    data: Batches | Callable[[int], Batches] | None = None,
    recover: bool = True,
    keep_at_least: float = 2,
    settings: Mapping[str, str] | None = None,
    path: str | Path | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Return the accuracy of the model cut by each criterion with each allocation and seed, judged against controls.

    The controls are always there: criterion `random` with every allocation, allocation `uniform` with every criterion.
    One's own come as a mapping: names to criteria, names to options of `prune` (defaults: `mean`, `global`, by unit).
    A run prunes with the batches `data`, or `data(seed)`, and with `recover` repairs the network on their inputs,
    measured before and after; `keep_at_least` holds for all allocations. `measure` gives for each test image whether
    the network is right, always in the same order; or an accuracy in percent, but then verdicts can't know how well
    the test set tells.

    With `path`, runs are kept in a file and not made again: the same call goes on where it was stopped, one with more
    seeds or choices adds to it. `settings` say in words what can't be seen from here (data, test images); the file
    keeps them, and runs with others are refused.

    Raises what `prune` raises, ComparisonMismatch if the file holds runs of other weights, targets or settings,
    DataError for data that are missing or a `measure` that gives something else.
    """
    choices = with_controls(criteria, allocations, keep_at_least=keep_at_least)
    check_data(choices, has_data=data is not None, recover=recover)
    if len(set(seeds)) != len(seeds) or not seeds:
        raise DataError(f"seeds={list(seeds)}: give one or more, each once")
    wished = parse_target(target) if isinstance(target, str) else target
    wanted = [(name, way, seed) for seed in seeds for name in choices.criteria for way in choices.allocations]
    asked: dict[str, Any] = {
        "version": VERSION,
        "weights": fingerprints.of_weights(model.state_dict()),
        "target": str(wished),
        "recover": recover,
        "settings": dict(settings or {}),
    }
    book = open_book(path)
    header = book.opened(asked, lambda: Header(**asked, whole=Measured.of(measure(copy.deepcopy(model)))))
    missing = [key for key in wanted if not book.check(key, choices.allocations[key[1]])]
    work = _Work(model, example, wished, measure, header.whole.images, recover, _by_seed(data))
    for number, run in enumerate(work.runs(missing, choices), len(wanted) - len(missing) + 1):
        book.add(run)
        if progress is not None:
            progress(run, number, len(wanted))
    return Comparison(header, tuple(book.runs[key] for key in wanted))


@dataclass(frozen=True, eq=False)
class _Work:
    model: nn.Module
    example: Example
    target: Target
    measure: Measure
    images: int  # that `measure` tests
    recover: bool
    data: Callable[[int], Batches | None]
    cuts: dict[bytes, Measured] = field(default_factory=dict)  # by levels: some criteria cut the same with every seed

    def runs(self, keys: Sequence[Key], choices: Choices) -> Iterator[Run]:
        """Yield the run of each key. Neighbours by one criterion and seed share its scores."""
        for (name, seed), same in groupby(keys, lambda key: (key[0], key[2])):
            ranked = _Remembered(name, choices.criteria[name], seed, self.data)
            for _, allocation, _ in same:
                yield self._run(ranked, allocation, choices.allocations[allocation])

    def _run(self, ranked: "_Remembered", allocation: str, options: Mapping[str, Any]) -> Run:
        # As a function, so that a criterion's name chooses no options: all are those of the allocation.
        try:
            pruned = prune(self.model, self.example, target=self.target, criterion=ranked, **options)
        except TargetError as reason:
            raise TargetError(f"{ranked.name} with {allocation}: {reason}") from reason
        levels, recovered = pruned.levels.tobytes(), None
        if levels not in self.cuts:
            self.cuts[levels] = self._measured(pruned.model)
        batches = self.data(ranked.seed) if self.recover else None
        if batches is not None:
            fitted = pruned.recovered(inputs_of(batches, self.model), seed=ranked.seed)
            recovered = self._measured(fitted.model)
        cost, whole = pruned.cost(), pruned.cost(1)
        return Run(
            criterion=ranked.name, allocation=allocation, seed=ranked.seed, options=dict(options),
            macs=cost.macs / whole.macs, params=cost.params / whole.params, cut=self.cuts[levels], recovered=recovered,
        )  # fmt: skip

    def _measured(self, network: nn.Module) -> Measured:
        measured = Measured.of(self.measure(network))
        if measured.images != self.images:
            raise DataError(
                f"measure gave {measured.images:,} test images, and {self.images:,} for the whole network; "
                "give always the same"
            )
        return measured


@dataclass(eq=False)
class _Remembered:
    """A criterion that scores once: its allocations differ only in what they make of the scores."""

    name: str
    criterion: str | Criterion
    seed: int
    data: Callable[[int], Batches | None]
    scores: Scores | None = None

    def __call__(self, model: nn.Module, plan: Plan) -> Scores:
        if self.scores is None:
            self.scores = score(model, plan, self.criterion, seed=self.seed, data=self.data(self.seed))
        return self.scores


def _by_seed(data: Batches | Callable[[int], Batches] | None) -> Callable[[int], Batches | None]:
    # A loader may be callable too; what can be gone through is taken for batches.
    if callable(data) and not hasattr(data, "__iter__"):
        return lru_cache(maxsize=1)(data)
    return lambda _: data
