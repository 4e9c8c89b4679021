"""Run a command line in this process, and look at a folder."""

import contextlib
import io
import json
import signal
import subprocess
import sys
import time
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


def kill_at(path: Path, command: str) -> None:
    """Run a command in a process of its own, in the current folder, and kill it as soon as a file is there, or newer.

    It may have ended by then.
    """
    before = path.stat().st_mtime_ns if path.exists() else 0
    process = subprocess.Popen(
        [sys.executable, "-c", "from elastic.cli import main; main()", *command.split()],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 240
    while process.poll() is None and (not path.exists() or path.stat().st_mtime_ns == before):
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return everything in a folder, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts
    }
