"""Write a file whole or not at all: beside its place first, then into it in one step."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from elastic.errors import OutputExists, PathError


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], overwrite: bool) -> Iterator[BinaryIO]:
    """Write to a new file that takes the place of `path` when the block ends well, and vanishes when it doesn't.

    Whoever opens `path` meanwhile, and whoever finds it after a crash, sees the old file whole or the new one. A
    process that is killed leaves `.*.partial` beside it.

    Raises OutputExists if `path` exists and may not be overwritten, PathError if it can't be written.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    if target.exists() and not overwrite:
        raise OutputExists(f"{path} exists; choose another name, or allow overwriting")
    if target.exists() and not target.is_file():
        raise PathError(f"{path} is a folder or a device, not a file; choose another name")
    partial = target.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise PathError(f"cannot write {path}: {error.strerror or error}; what was there is unchanged") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):  # elsewhere a folder can't be opened
        descriptor = os.open(folder, os.O_RDONLY)
        with contextlib.suppress(OSError):  # the file is in place; not every file system can sync a folder
            os.fsync(descriptor)
        os.close(descriptor)
