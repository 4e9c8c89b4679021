"""Go through the list of models and keep one JSON object a line, which the tables are made of; shared by benchmarks."""

import argparse
import fnmatch
import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

from isolated import GIB, ROOT, Record
from zoo_models import Case

from elastic.latency.machine import this_machine


def arguments(description: str, out: str, seconds: float) -> argparse.ArgumentParser:
    """Return the options that both benchmarks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("models", nargs="*", help="names, patterns or suites")
    parser.add_argument("--out", type=Path, default=Path(out), help="one JSON object a line; the last counts")
    parser.add_argument("--again", action="store_true", help="measure those too that have a record")
    parser.add_argument("--failed", action="store_true", help="measure those too whose record names a failure")
    parser.add_argument("--seconds", type=float, default=seconds, help="limit for one process")
    parser.add_argument("--table", type=Path, help="write the records as Markdown, and run nothing")
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)  # given to the process that measures
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    return parser


def go_through(
    cases: Sequence[Case], asked: argparse.Namespace, one: Callable[[Case], Record], line: Callable[[Record], str]
) -> None:
    """Write a record of every case that has none yet, and print a line of each."""
    known = {} if asked.again else read_records(asked.out)
    done = {name for name, record in known.items() if not (asked.failed and has_failed(record))}
    todo = [case for case in cases if case.name not in done]
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    for number, case in enumerate(todo, 1):
        record = {"name": case.name, "suite": case.suite, "family": case.family, **one(case), **provenance()}
        with asked.out.open("a") as file:
            file.write(json.dumps(record) + "\n")
        print(f"{number}/{len(todo)} {line(record)}", flush=True)


def is_asked(name: str, patterns: Sequence[str]) -> bool:
    """Return whether a name matches one of the patterns."""
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def add_record(out: Path, name: str, run: Callable[[], Record], *, again: bool = False) -> None:
    """Write and print what a run gives under a name, with the day and the commit.

    Nothing if that was run already, unless it is asked for again.
    """
    if name in read_records(out) and not again:
        return
    record = {"name": name, **provenance(), **run()}
    with out.open("a") as file:
        file.write(json.dumps(record) + "\n")
    print(json.dumps(record), flush=True)


def has_failed(record: Record) -> bool:
    """Return whether something went wrong in a process, or ended it."""
    parts = [record, *(part for part in record.values() if isinstance(part, dict))]
    return any(part.get("failures") or part.get("failure") or "died" in part for part in parts)


def read_records(path: Path) -> dict[str, Record]:
    """Return the last record of each model."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {record["name"]: record for record in map(json.loads, lines)}


def setting(packages: Sequence[str], records: Iterable[Mapping[str, str]], threads: str = "one thread") -> str:
    """Return what a table needs to be judged: machine, versions, days, and the commits that were measured."""
    cores, gib = os.cpu_count(), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    days = sorted({record["date"] for record in records})
    commits = ", ".join(sorted({record[key] for record in records for key in ("commit", "checked") if key in record}))
    processors = " and ".join(sorted({record.get("processor", "a processor not noted") for record in records}))
    return (
        f"{processors}, {cores} cores (shared), {gib:.0f} GiB, {platform.system()}, CPU only, {threads}; "
        f"Python {platform.python_version()}, {versions}; {' to '.join(dict.fromkeys((days[0], days[-1])))}; "
        f"commit {commits} (+: and what was not committed yet)."
    )


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a column whose head begins with a space is aligned to the right."""
    sides = ["---:" if name.startswith(" ") else "---" for name in head]
    lines = [[name.strip() for name in head], sides, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def provenance() -> Record:
    """Return the processor, the day and the commit, with a plus if what is measured differs from it."""
    commit = _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain", "elastic") else "")
    return {"processor": this_machine("eager").processor, "date": date.today().isoformat(), "commit": commit}


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()
