"""What the README and the pages in docs/ show is run: every python block, every `$ elastic` line of a console block.

Blocks run in order, in a folder of their own, and those of one page share their names. What starts several processes
(`$ torchrun`, `$ accelerate`) runs as a program. A mark before a block, such as `<!-- slow -->`, says more of it:

    needs ELASTIC_DATA   real images and checkpoints; in commands, DATA stands for their folder
    needs PACKAGE        left out where that is not installed
    slow                 run by `make test-all` alone
    file NAME            the commands of the page find it under that name
    numbers differ       the output is that of one machine: words are compared, and numbers are not
"""

import contextlib
import importlib.util
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import elastic
from elastic import models
from elastic.cli.app import _run, app

ROOT = Path(__file__).parents[1]
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if page.is_file()]
MARK = re.compile(r"<!-- (needs \w+|slow|file [\w.]+|numbers differ) -->")
PROGRAMS = ("accelerate", "torchrun")
VERBS = {each.name for each in (*app.registered_commands, *app.registered_groups)}
ROUNDING = re.compile(r"\d(?:\.\d+)?e[-+]\d+")  # differs from one machine to the next
PERCENT = re.compile(r"(\d+\.\d+) %")
NUMBER = re.compile(r"\S*\d\S*")
ACCURACY = 0.2  # points by which rounding alone moves what a repaired network gets right


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    mark: str  # what is in the comment before it

    @property
    def needs_data(self) -> bool:
        return self.mark == "needs ELASTIC_DATA"

    @property
    def is_slow(self) -> bool:
        return self.needs_data or self.mark == "slow"

    @property
    def lacks(self) -> str:
        """The package that the block needs and that is not installed."""
        package = "" if self.needs_data else self.mark.partition("needs ")[2]
        return package if package and importlib.util.find_spec(package) is None else ""


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    found: list[Block] = []
    lines, before, start = page.read_text(encoding="utf-8").splitlines(), "", None
    for number, line in enumerate(lines):
        if start is None and line.startswith("```"):
            start = number
        elif start is not None and line.startswith("```"):
            text = "\n".join(lines[start + 1 : number]) + "\n"
            mark = MARK.fullmatch(before)
            found.append(Block(page, start + 2, lines[start][3:].strip(), text, mark[1] if mark else ""))
            start = None
        if start is None and line.strip():
            before = line.strip()
    assert start is None, f"{page}: the block that begins at line {start} has no end"
    return found


def cases(language: str) -> list:
    """Return one case for the blocks of each page that are fast, a slow one for all, one for what is lacking."""
    found = []
    for page in PAGES:
        own = [block for block in blocks(page) if block.language == language]
        able = [block for block in own if not block.lacks]
        if free := [block for block in able if not block.is_slow]:
            found.append(pytest.param(free, id=name_of(page)))
        if len(free) < len(able):
            more = "with data" if any(block.needs_data for block in able) else "with what is slow"
            found.append(pytest.param(able, id=f"{name_of(page)} {more}", marks=pytest.mark.slow))
        for package in sorted({block.lacks for block in own} - {""}):
            why = pytest.mark.skip(reason=f"{package} is not installed")
            found.append(pytest.param([], id=f"{name_of(page)} with {package}", marks=why))
    return found


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix().removeprefix("docs/")


def data_folder(chosen: list[Block]) -> str:
    folder = os.environ.get("ELASTIC_DATA", "")
    if not folder and any(block.needs_data for block in chosen):
        pytest.skip("needs real data: set ELASTIC_DATA to the folder that holds them")
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_net(path: Path) -> None:
    """Write the file that pages speak of, for those that don't make it themselves."""
    model = models.build("elastic/digits_resnet")
    pruned = elastic.prune(model, torch.zeros(1, 1, 8, 8), target=["macs=25%", "macs=50%"])
    pruned.save(path, model_name="elastic/digits_resnet")


@pytest.mark.parametrize("chosen", cases("python"))
def test_python_runs_as_it_is_shown(folder, chosen):
    data = data_folder(chosen)
    if not any("save(" in block.text for block in chosen):
        make_net(folder / "net.safetensors")
    names: dict[str, object] = {"__name__": "page"}
    for block in chosen:
        source = block.text.replace("DATA/", f"{data}/") if block.needs_data else block.text
        code = compile("\n" * (block.line - 1) + source, str(block.page), "exec")  # so that line numbers are the page's
        exec(code, names)


def commands(block: Block) -> list[tuple[str, str]]:
    """Return each line of a console block that is run, with the output that is shown below it."""
    joined = re.sub(r"\\\n\s*", "", block.text)
    parts = re.split(r"^\$ ", joined, flags=re.MULTILINE)[1:]
    found = [(command, shown) for command, _, shown in (part.partition("\n") for part in parts)]
    return [(command, shown) for command, shown in found if program(command) in ("elastic", *PROGRAMS)]


def program(command: str) -> str:
    """Return what a command runs; VARIABLE=value may stand before it."""
    return next(word for word in command.split() if "=" not in word)


def run(command: str) -> tuple[int, str, str]:
    """Return how a command ends, its output, and what it says beside it."""
    if program(command) in PROGRAMS:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(command, shell=True, env=os.environ | {"PATH": path}, capture_output=True, timeout=280)
        return done.returncode, done.stdout.decode(), done.stderr.decode()[-2000:]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _run(shlex.split(command)[1:])
    return code, out.getvalue(), err.getvalue()


def words(text: str, mark: str = "") -> list[str]:
    """Return what is printed without the numbers that rounding changes, or without any."""
    text = NUMBER.sub("~", text) if mark == "numbers differ" else text
    return PERCENT.sub("~", ROUNDING.sub("~", text)).split()


def percents(text: str, mark: str = "") -> list[float]:
    return [] if mark == "numbers differ" else [float(number) for number in PERCENT.findall(text)]


def write_files(page: Path) -> None:
    for block in blocks(page):
        if block.mark.startswith("file "):
            Path(block.mark.removeprefix("file ")).write_text(block.text, encoding="utf-8")


@pytest.mark.parametrize("chosen", cases("console"))
def test_commands_run_and_print_what_is_shown(folder, chosen):
    data = data_folder(chosen)
    write_files(chosen[0].page)
    for block in chosen:
        for command, shown in commands(block):
            code, out, err = run(re.sub(r"\bDATA\b", data, command) if block.needs_data else command)
            assert code == 0, f"{block.page.name}: {command}\n{err}"
            if shown.strip():
                printed = out.replace(data, "DATA") if data else out
                assert words(printed, block.mark) == words(shown, block.mark), command
                found, wanted = percents(printed, block.mark), percents(shown, block.mark)
                assert found == pytest.approx(wanted, abs=ACCURACY), command


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_within_the_project_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_that_are_spoken_of_exist(page):
    spoken = set(re.findall(r"`elastic ([a-z-]+)", page.read_text(encoding="utf-8")))
    assert spoken <= VERBS


def test_a_mark_belongs_to_the_next_block_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- slow -->\n```python\na\n```\n\n```console\n$ elastic info \\\n    x\nshown\n$ make\n```\n")
    first, second = blocks(page)
    assert (first.language, first.text, first.line, first.mark) == ("python", "a\n", 3, "slow")
    assert second.mark == ""
    assert commands(second) == [("elastic info x", "shown\n")]


def test_a_block_whose_package_is_not_installed_says_so():
    assert Block(ROOT, 1, "python", "", "needs nosuchpackage").lacks == "nosuchpackage"


def test_every_comment_before_a_block_is_a_mark_that_is_known():
    before = re.compile(r"^(<!-- .*-->)\n```", re.MULTILINE)
    found = {mark for page in PAGES for mark in before.findall(page.read_text(encoding="utf-8"))}
    assert [mark for mark in found if not MARK.fullmatch(mark)] == []


def test_what_runs_is_found_behind_variables():
    assert program("ACCELERATE_USE_CPU=true torchrun --nproc-per-node 2 elastic") == "torchrun"
