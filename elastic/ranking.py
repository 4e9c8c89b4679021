"""Ranking: what orders units, with options that suit each other where none are given.

With data the default is `energy`, which needs no labels, otherwise `magnitude`. Scores that estimate a loss can be
compared between layers as they are, and are worth what they save: no normalisation, per unit of the quantity that the
target limits. Gates, which were priced while they were learned, are an order already: no normalisation, by unit. All
others are compared to the mean of their layer, by unit. Widths are where that order ends, or with a target of time what
integer programmes choose, since an order can't see that a layer's time falls in stairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from elastic.allocation import Normalisation, Scope
from elastic.errors import UnknownName
from elastic.importance import Criterion, Curvature, Reduction
from elastic.targets import LIMITED, Limited, Target

GATES = "gates"
LOSSES = ("energy", "taylor", "taylor-signed", "hessian")  # what these give is a loss
Per = Limited | Literal["unit"]
PER: tuple[str, ...] = ("unit", *LIMITED)
Solver = Literal["greedy", "milp"]
SOLVERS: tuple[str, ...] = get_args(Solver)


@dataclass(frozen=True, eq=False)
class Ranking:
    """What orders units, and what chooses widths by that; None stands for what suits the others."""

    criterion: str | Criterion | None = None
    reduction: Reduction | None = None
    hessian: Curvature | None = None
    normalisation: Normalisation | None = None
    scope: Scope | Mapping[str, float] | None = None
    per: Per | None = None
    solver: Solver | None = None

    @property
    def given(self) -> dict[str, Any]:
        """What was asked for, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def settled(self, targets: Sequence[Target], *, has_data: bool) -> "Ranking":
        """Return the same with every option, for levels of these targets.

        Raises UnknownName for a `per` that nothing goes by, and for an unknown solver.
        """
        if self.per is not None and self.per not in PER:
            raise UnknownName(f"unknown per={self.per!r}; known: {', '.join(PER)}")
        if self.solver is not None and self.solver not in SOLVERS:
            raise UnknownName(f"unknown solver {self.solver!r}; known: {', '.join(SOLVERS)}")
        criterion = self.criterion or ("energy" if has_data else "magnitude")
        is_loss, is_timed = criterion in LOSSES, any(target.needs_latency for target in targets)
        limited: Any = targets[0].limits[0].quantity if is_loss and targets else "unit"
        scope, per = "global" if self.scope is None else self.scope, self.per or limited
        is_plain = scope == "global" and per == limited  # nobody asked for another order
        return Ranking(
            criterion,
            self.reduction or "sum",
            self.hessian or "obd",
            self.normalisation or ("none" if is_loss or criterion == GATES else "mean"),
            scope,
            per,
            self.solver or ("milp" if is_loss and is_timed and is_plain else "greedy"),
        )

    @property
    def recipe(self) -> dict[str, Any]:
        """What a file says of how it was made."""
        named = self.criterion if isinstance(self.criterion, str) else type(self.criterion).__name__
        scope = dict(self.scope) if isinstance(self.scope, Mapping) else self.scope
        found = {**self.given, "criterion": named, "scope": scope}
        return found if named == "hessian" else {name: value for name, value in found.items() if name != "hessian"}

    @property
    def allocation(self) -> dict[str, Any]:
        """The options of `allocate`, once settled."""
        per = None if self.per == "unit" else self.per
        return {"normalisation": self.normalisation, "scope": self.scope, "per": per}
