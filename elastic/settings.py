"""Settings: plain data from options that a user gave, refused in one line where they can't be followed."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from elastic.errors import InvalidRecipe

Settings = TypeVar("Settings", bound=BaseModel)


def settings_of(kind: type[Settings], options: Mapping[str, Any], what: str) -> Settings:
    """Return settings of a kind; `what` begins the sentence about an option that they lack: "gates have".

    Raises InvalidRecipe for a name that is none of their options, and for a value that is out of its range.
    """
    try:
        return kind(**options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise InvalidRecipe(f"{what} no option {name!r}; known: {', '.join(kind.model_fields)}") from error
        raise InvalidRecipe(f"{name}={first['input']!r} can't be followed: {first['msg']}") from error
