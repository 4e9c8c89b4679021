"""The user's own code by name: `package.module:attribute`.

Kept apart from the registries, because importing runs code. Only text that the user typed may come here, never text
out of a file.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from elastic.errors import UnknownName


def import_callable(spec: str) -> Callable[..., Any]:
    """Return what `package.module:attribute` names; modules in the current folder are found too.

    Raises UnknownName if the module is not there, or has no such callable. An exception in the module itself passes.
    """
    module_name, _, attribute = spec.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), *attribute.split(".")]):
        raise UnknownName(f"{spec!r} does not read as package.module:function")
    found: Any = _import(spec, module_name)
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise UnknownName(f"{spec!r}: module {module_name} was imported, but holds no callable {attribute!r}")
    return found  # type: ignore[no-any-return]


def _import(spec: str, module_name: str) -> Any:
    with _current_folder_importable():
        try:
            return importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not (module_name + ".").startswith(error.name + "."):
                raise  # the module is there; what it imports is not
            raise UnknownName(
                f"{spec!r}: there is no module {error.name!r} here or among the installed packages; "
                f"run in the folder that holds it, or put that folder on PYTHONPATH"
            ) from None


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    """An installed command's search path lacks the current folder, unlike that of `python -m`."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
