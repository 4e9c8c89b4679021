"""Search: the choices of a network, made until nothing fails.

Each choice is first settled where it is made: the module that makes it is run alone, with inputs that carry units as
its weights do, which takes milliseconds. Then the whole network is run, cut and run again.
"""

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from elastic.errors import TraceError
from elastic.plan import NEVER, IntArray, LevelArray, Plan
from elastic.tracing.following.attributes import Attributes
from elastic.tracing.following.checking import Conflict, above, conflicts, units_around
from elastic.tracing.following.compiling import compiled, resolved
from elastic.tracing.following.first_run import follow, modules_that_train
from elastic.tracing.following.followed import Choice
from elastic.tracing.following.recorder import Paused, Recorder
from elastic.tracing.following.rules.slicing import APART
from elastic.tracing.following.script import Decisions, Step
from elastic.tracing.following.subject import Subject
from elastic.tracing.labels import Labels
from elastic.tracing.planning import make_plan
from elastic.tracing.removals import uneven_removals

log = logging.getLogger(__name__)

MOST_RUNS = 40  # of a network, before what still fails is frozen
EARLY, SMALL, MOST_PAUSES = 0.3, 0.1, 3  # parts of the modules, and times that a run begins again
MOST_OF_A_PART = 0.5  # of the operations: a larger module is not worth a run of its own


class Search:
    """The choices of one subject, and of the modules in it."""

    def __init__(
        self, subject: Subject, decisions: Decisions | None = None, attributes: Attributes | None = None
    ) -> None:
        self.subject = subject
        self.specs = subject.specs()
        self.decisions = decisions or Decisions()
        self.attributes = attributes or Attributes(subject.twin)
        self.settled: set[Choice] = set()
        self.tried_alone: set[Choice] = set()  # on the module that makes them
        self.has_looked = False  # for heads that only training uses
        self.failed_at: set[int] = set()  # operations at which something was frozen
        self.dead: list[tuple[tuple[str, int], IntArray, str]] = []  # an axis, positions on it, and the reason

    def labels(self) -> Labels:
        """Return labels that no trial contradicts."""
        follower: Recorder | None = None
        for _ in range(MOST_RUNS):
            if follower is None:
                follower = self._follow()
                if not self.subject.carried and self._settle(follower):
                    follower = self._follow()
                roots, why = resolved(follower)
                if self._another_choice(follower, roots, why):
                    follower = None
                    continue
            labels = self._compiled(follower, roots, why)
            if not (found := self._conflicts(follower, labels)):
                return labels
            for conflict in found:
                log.debug("%s: %d units, step %s", conflict.reason, len(conflict.units), conflict.step)
            if self._resolve(found, follower):
                follower = None
        reason = f"the network could not be cut as it was followed, in {MOST_RUNS} trials"
        for home in list(labels.axes):
            labels.freeze(labels.axes[home], reason)
        return labels

    def _follow(self) -> Recorder:
        follower = self._followed_to_the_end()
        if not self.has_looked and not self.subject.carried:
            self.has_looked = True
            if heads := modules_that_train(self.subject, set(follower.beside)):
                self.subject = replace(self.subject, modes=(*self.subject.modes, heads))
                follower = follow(self.subject, self.decisions)
        return follower

    def _followed_to_the_end(self) -> Recorder:
        """Return the first run. Small modules at its beginning are settled where they end, lest it be in vain."""
        pauses = 0
        paths = [path for path, _ in self.subject.modules]
        early = set(paths[: int(EARLY * len(paths))])

        def is_awaited(recorder: Recorder, path: str) -> bool:
            if self.subject.carried or pauses == MOST_PAUSES or not path or path not in early:
                return False
            inside = sum(each.startswith(f"{path}.") for each in paths)
            return inside < SMALL * len(paths) and any(
                made == path and choice not in self.settled for choice, made in recorder.chosen_in.items()
            )

        while True:
            try:
                return follow(self.subject, self.decisions, is_awaited)
            except Paused as paused:
                pauses += 1
                self._settle_alone(paused.path, paused.recorder)

    def _settle_alone(self, path: str, follower: Recorder) -> None:
        part = self.subject.part(path, follower)
        try:
            Search(part, self.decisions, self.attributes.within(part.twin)).labels()
            self.tried_alone |= {c for c, p in follower.chosen_in.items() if p.startswith(path)}
        except TraceError as reason:  # a module that can't be run alone is settled with the rest
            log.debug("%s: %s", path, reason)
        self.settled |= {c for c, p in follower.chosen_in.items() if p.startswith(path)}

    def _settle(self, follower: Recorder) -> bool:
        """Make choices where each is made, the module alone; return whether any is another now."""
        before = dict(self.decisions.taken)
        for choice, path in follower.chosen_in.items():
            if choice in self.settled:
                continue
            self.settled.add(choice)
            size = sum(step.module == path or step.module.startswith(f"{path}.") for step in follower.steps)
            if path and path in follower.entered and size < MOST_OF_A_PART * len(follower.steps):
                self._settle_alone(path, follower)
        return before != self.decisions.taken

    def _another_choice(self, follower: Recorder, roots: IntArray, why: dict[int, str]) -> bool:
        """Change choices that leave nothing to cut; return whether there were any."""
        dead = np.zeros(len(roots), np.bool_)
        dead[list(why)] = True
        found = False
        for choice, axes in follower.chosen.items():
            if self.decisions.taken[choice] is not None and all(dead[roots[cells]].all() for cells in axes):
                self.decisions.next(choice)
                found = found or self.decisions.taken[choice] is not None
        return found

    def _compiled(self, follower: Recorder, roots: IntArray, why: dict[int, str]) -> Labels:
        why = dict(why)
        for home, positions, reason in self.dead:
            for root in np.unique(roots[follower.axes[home][positions]]).tolist():
                why[root] = why.get(root) or reason
        labels = compiled(self.subject.twin, follower, roots, why)
        units = self._cells_to_labels(labels, roots)
        labels.attributes = {key: units[cells] for key, cells in self.attributes.followed(follower.steps).items()}
        return labels

    def _cells_to_labels(self, labels: Labels, roots: IntArray) -> IntArray:
        alive = np.zeros(len(roots) + 1, np.bool_)
        for found in labels.axes.values():
            alive[found] = True  # NEVER is the last
        return np.where(alive[roots], roots, NEVER)

    def _conflicts(self, follower: Recorder, labels: Labels) -> list[Conflict]:
        self.plan = plan = make_plan(labels, *self.specs)
        roots = follower.partition.components()
        table = np.full(len(roots) + 1, NEVER)
        for home, units in plan.axes.items():
            table[labels.axes[home]] = units
        table[-1] = NEVER  # of labels that are NEVER
        self.units = table[roots]
        times = 2 if self.decisions.taken else 1  # without a choice, nothing was open but sizes in code
        draws = uneven_removals(plan, plan.groups, times=times) if plan.units else iter(())
        if self.decisions.taken and self.decisions.taken.keys() <= self.tried_alone:
            draws = itertools.islice(draws, 1)  # where it was made, each choice was tried with all of them
        for levels in itertools.chain(draws, self._edges(follower, plan)):
            if found := conflicts(self.subject, plan, levels, follower.steps, self.units, self.decisions):
                return found
        return []

    def _edges(self, follower: Recorder, plan: Plan) -> Iterator[LevelArray]:
        """Yield levels by which the first, and the last, position of each axis leaves that is taken apart by numbers.

        A slice that starts at one is right by luck as long as what comes before it stays.
        """
        ends = [
            (self.units[cells[0]], self.units[cells[-1]])
            for choice, axes in follower.chosen.items()
            if self.decisions.taken.get(choice) == APART
            for cells in axes
        ]
        for place in (0, 1):
            leaving = np.array([pair[place] for pair in ends if pair[place] != NEVER], np.int64)
            leaving = leaving[[len(plan.groups[n].units) > 1 for n in plan.group_of_unit[leaving]]]
            if len(leaving):
                levels = np.zeros(plan.units, np.uint8)
                levels[leaving] = 1
                yield levels

    def _resolve(self, found: list[Conflict], follower: Recorder) -> bool:
        """Change what a trial found wrong first; return whether a choice is another now."""
        first, steps = found[0], follower.steps
        if first.step is not None and not first.is_foreign and self.attributes.put_right(steps, steps[first.step]):
            return False
        again = [choice for choice in first.choices if self.decisions.taken.get(choice) is not None]
        for choice in again:
            self.decisions.next(choice)
            if first.is_foreign:
                self.decisions.taken[choice] = None
            self.attributes.forget(choice)
        for conflict in found if not again else ():
            if not any(self.decisions.taken.get(choice) for choice in conflict.choices):
                self._freeze(conflict, follower)
        return bool(again)

    def _freeze(self, conflict: Conflict, follower: Recorder) -> None:
        """Freeze what a trial found wrong, and what the same line of code does elsewhere."""
        again = conflict.at in self.failed_at  # a part of what meets there was frozen, and that did not help
        every = [conflict.units, conflict.every] if again else [conflict.units]
        self.failed_at.add(conflict.at)
        for step in self._alike(conflict.step, follower.steps) if conflict.step is not None else ():
            if conflict.is_around:
                every.append(units_around(follower, self.plan, self.units.__getitem__, above(step.module)))
            else:
                every += [self.units[cells] for cells in step.axes[0].values()] if step.axes else []
        units = np.unique(np.concatenate(every))
        units = units[units != NEVER]
        # What left is as much to blame as what stayed: a group goes as a whole.
        hit = np.unique(self.plan.group_of_unit[units])
        units = np.concatenate([np.empty(0, np.int64), *(self.plan.groups[number].units for number in hit)])
        for home, found in self.plan.axes.items():
            if (hit := np.isin(found, units[units != NEVER])).any():
                self.dead.append((home, np.flatnonzero(hit), conflict.reason))

    def _alike(self, number: int, steps: Sequence[Step]) -> list[Step]:
        """Return the steps of the same line of code, or those that modules of the same class do at the same point."""
        failed = steps[number]
        if failed.place is not None:
            return [step for step in steps if step.place == failed.place]
        of_module: dict[str, list[Step]] = {}
        for step in steps:
            of_module.setdefault(step.module, []).append(step)
        point, kinds = of_module[failed.module].index(failed), dict(self.subject.modules)
        return [
            done[point]
            for module, done in of_module.items()
            if type(kinds[module]) is type(kinds[failed.module])
            and len(done) > point
            and (done[point].name, done[point].shapes) == (failed.name, failed.shapes)
        ]
