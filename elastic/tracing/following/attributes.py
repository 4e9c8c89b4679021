"""Numbers that modules keep of their widths, such as `num_heads`: found by trying, as rules about lines of code.

Where a line gives an operation a size that should have followed a cut and did not, an attribute with that value, of the
module that runs the line or of one around it, may be what the line reads. A rule holds for every module that runs it.
"""

from collections.abc import Iterator, Sequence

from torch import nn

from elastic.plan import IntArray
from elastic.tracing.following.followed import Choice
from elastic.tracing.following.places import Place
from elastic.tracing.following.script import SizeKey, Step

Attribute = tuple[str, str]  # a module's path, and the name of a number that it keeps; `splits.0` is within a list
Named = tuple[int, str]  # how many modules up from the one that runs a line, and the name


class Attributes:
    """Which attribute each size at each line follows, and which were tried in vain."""

    def __init__(self, twin: nn.Module) -> None:
        self.twin = twin
        self.rules: dict[tuple[Place, SizeKey], Named] = {}
        self.refused: set[tuple[Place, SizeKey, Named]] = set()

    def put_right(self, steps: Sequence[Step], failed: Step) -> bool:
        """Change the rules of the line that failed, those that it lacks first; return whether any could be."""
        if failed.place is None:
            return False
        alike = [step for step in steps if step.place == failed.place and step.name == failed.name]
        if any(self._missing(alike)):
            return True
        for size in failed.sizes:
            if (old := self.rules.pop((failed.place, size), None)) is not None:
                self.refused.add((failed.place, size, old))
        return any(self._missing(alike))

    def forget(self, choice: Choice) -> None:
        """Change the rules: those of the line of a choice are no more."""
        for key in [key for key in self.rules if key[0] == choice[1:]]:
            del self.rules[key]

    def within(self, part: nn.Module) -> "Attributes":
        """Return the same rules, shared, for a module of the twin."""
        found = Attributes(part)
        found.rules, found.refused = self.rules, self.refused
        return found

    def followed(self, steps: Sequence[Step]) -> dict[Attribute, IntArray]:
        """Return the cells that each attribute counts."""
        found: dict[Attribute, IntArray] = {}
        for step in steps:
            for size, (value, cells) in step.sizes.items() if step.place else ():
                named = self.rules.get((step.place, size)) if step.place else None
                if named is not None and named in dict.fromkeys(_equal_to(self.twin, step.module, value)):
                    found.setdefault((_up(step.module, named[0]), named[1]), cells)
        return found

    def _missing(self, steps: Sequence[Step]) -> list[bool]:
        """Change rules: those that sizes lack are found, where there are any; return which were."""
        return [self._rule(step, size) for step in steps for size in step.sizes if (step.place, size) not in self.rules]

    def _rule(self, step: Step, size: SizeKey) -> bool:
        assert step.place is not None
        taken = {name for (place, _), name in self.rules.items() if place == step.place}
        for named in _equal_to(self.twin, step.module, step.sizes[size][0]):
            if named not in taken and (step.place, size, named) not in self.refused:
                self.rules[step.place, size] = named
                return True
        return False


def _equal_to(twin: nn.Module, path: str, value: int) -> Iterator[Named]:
    """Yield the numbers equal to a value that a module and those around it keep, innermost first."""
    for up in range(path.count(".") + 2 if path else 1):
        module = twin.get_submodule(_up(path, up))
        if type(module).__module__.startswith("torch.nn"):
            continue
        for name, held in vars(module).items():
            if type(held) is int and held == value:
                yield up, name
            elif isinstance(held, list | tuple) and all(type(each) is int for each in held):
                yield from ((up, f"{name}.{place}") for place, each in enumerate(held) if each == value)


def _up(path: str, times: int) -> str:
    for _ in range(times):
        path = path.rpartition(".")[0]
    return path
