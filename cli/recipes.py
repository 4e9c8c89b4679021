"""Options that are made from the fields of settings, so that command line and Python have the same words."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer
from pydantic import BaseModel

from elastic.cli.groups import signed
from elastic.recipes import Recipe, recipe_of

Verb = Callable[..., None]


def takes_recipe(**defaults: Any) -> Callable[[Verb], Verb]:
    """Return what gives a verb one option for each field of a recipe, in place of its parameter `recipe`."""

    def change(verb: Verb) -> Verb:
        @functools.wraps(verb)
        def run(**given: Any) -> None:
            verb(**given)
            from elastic.training import leave_processes

            leave_processes()

        run.__signature__ = inspect.signature(verb)  # type: ignore[attr-defined]
        return takes_fields("recipe", Recipe, recipe_of, defaults)(run)

    return change


def takes_given(parameter: str, model: type[BaseModel]) -> Callable[[Verb], Verb]:
    """Return what gives a verb one option for each field of a model; the parameter is a mapping of those given."""

    def given(**asked: Any) -> dict[str, Any]:
        return {name: value for name, value in asked.items() if value is not None}

    return takes_fields(parameter, model, given, dict.fromkeys(model.model_fields))


def takes_fields(
    parameter: str, model: type[BaseModel], make: Callable[..., Any], defaults: Mapping[str, Any]
) -> Callable[[Verb], Verb]:
    """Return what gives a verb one option for each field, in place of the parameter, which `make` makes of them."""

    def change(verb: Verb) -> Verb:
        @functools.wraps(verb)
        def run(**given: Any) -> None:
            asked = {name: given.pop(name) for name in model.model_fields}
            verb(**given, **{parameter: make(**asked)})

        hints = get_type_hints(verb, include_extras=True)
        own = [
            each.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            for name, each in inspect.signature(verb).parameters.items()
            if name != parameter
        ]
        return signed(run, [*own, *(_option(model, name, defaults) for name in model.model_fields)])

    return change


def _option(model: type[BaseModel], name: str, defaults: Mapping[str, Any]) -> inspect.Parameter:
    field = model.model_fields[name]
    kind: Any = field.annotation
    default = defaults.get(name, field.default)
    if get_origin(kind) is tuple:
        kind, default = (
            list[str] if get_args(kind)[0] is str else list[float],
            None if default is None else list(default),
        )
    elif any(get_origin(each) is Literal for each in (kind, *get_args(kind))):
        kind = str | None if type(None) in get_args(kind) else str
    if default is None and type(None) not in get_args(kind):
        kind = kind | None
    annotation = Annotated[kind, typer.Option(help=field.description)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
