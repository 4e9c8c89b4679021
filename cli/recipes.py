"""The options of a recipe, which every verb that trains has: made from its fields, so that they are the same words."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from elastic.cli.groups import signed
from elastic.recipes import Recipe, recipe_of


def takes_recipe(**defaults: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return what gives a verb one option for each field of a recipe, in place of its parameter `recipe`."""

    def change(verb: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(verb)
        def run(**given: Any) -> None:
            asked = {name: given.pop(name) for name in Recipe.model_fields}
            verb(**given, recipe=recipe_of(**asked))
            from elastic.training import leave_processes

            leave_processes()

        hints = get_type_hints(verb, include_extras=True)
        own = [
            parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in inspect.signature(verb).parameters.items()
            if name != "recipe"
        ]
        return signed(run, [*own, *(_option(name, defaults) for name in Recipe.model_fields)])

    return change


def _option(name: str, defaults: dict[str, Any]) -> inspect.Parameter:
    field = Recipe.model_fields[name]
    kind: Any = field.annotation
    default = defaults.get(name, field.default)
    if get_origin(kind) is tuple:
        kind, default = list[float], list(default)
    elif any(get_origin(each) is Literal for each in (kind, *get_args(kind))):
        kind = str | None if type(None) in get_args(kind) else str
    annotation = Annotated[kind, typer.Option(help=field.description)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
