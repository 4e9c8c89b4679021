"""Groups: options that several verbs share, declared once as the fields of a dataclass and taken as one parameter."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_type_hints


def takes_groups(verb: Callable[..., None]) -> Callable[..., None]:
    """Return the verb with the fields of each parameter that is a dataclass in place of that parameter."""
    hints = get_type_hints(verb, include_extras=True)
    own = inspect.signature(verb).parameters
    groups = {name: hints[name] for name in own if dataclasses.is_dataclass(hints[name])}

    @functools.wraps(verb)
    def run(**given: Any) -> None:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in dataclasses.fields(group)})
            for name, group in groups.items()
        }
        verb(**given, **made)

    def parameters() -> Iterator[inspect.Parameter]:
        for name, parameter in own.items():
            if name in groups:
                yield from _fields(groups[name])
            else:
                yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])

    return signed(run, list(parameters()))


def signed(run: Callable[..., None], parameters: list[inspect.Parameter]) -> Callable[..., None]:
    """Return a function that looks as if it had these parameters, to typer too."""
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _fields(group: type) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in dataclasses.fields(group):
        yield inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
