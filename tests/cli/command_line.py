"""Run a command line in this process, and look at a folder."""

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

from elastic.cli.app import _run

NETWORK = "elastic/digits_resnet"


@dataclass(frozen=True)
class Done:
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        assert self.code == 0, self.err
        return json.loads(self.out)


def run(*arguments: object) -> Done:
    """Run a command line given as one text, or as parts where they hold spaces."""
    given = str(arguments[0]).split() if len(arguments) == 1 else [str(argument) for argument in arguments]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _run(given)
    return Done(code, out.getvalue(), err.getvalue())


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return everything in a folder, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts
    }
