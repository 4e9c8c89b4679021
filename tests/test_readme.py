"""What the README and the pages in docs/ show is run: every python block, every `$ elastic` line of a console block.

Blocks run in order, in a folder of their own, and those of one page share their names. A block that needs the real
images and checkpoints has `<!-- needs ELASTIC_DATA -->` before it; in commands, DATA stands for that folder.
"""

import contextlib
import io
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import elastic
from elastic import models
from elastic.cli.app import _run, app

ROOT = Path(__file__).parents[1]
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if page.is_file()]
MARK = "<!-- needs ELASTIC_DATA -->"
VERBS = {each.name for each in (*app.registered_commands, *app.registered_groups)}
ROUNDING = re.compile(r"\d(?:\.\d+)?e[-+]\d+")  # differs from one machine to the next
PERCENT = re.compile(r"(\d+\.\d+) %")
ACCURACY = 0.2  # points by which rounding alone moves what a repaired network gets right


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    needs_data: bool


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    found: list[Block] = []
    lines, before, start = page.read_text(encoding="utf-8").splitlines(), "", None
    for number, line in enumerate(lines):
        if start is None and line.startswith("```"):
            start = number
        elif start is not None and line.startswith("```"):
            text = "\n".join(lines[start + 1 : number]) + "\n"
            found.append(Block(page, start + 2, lines[start][3:].strip(), text, before == MARK))
            start = None
        if start is None and line.strip():
            before = line.strip()
    assert start is None, f"{page}: the block that begins at line {start} has no end"
    return found


def cases(language: str) -> list:
    """Return one case for the blocks of each page that need no data, and a slow one for all where some need it."""
    found = []
    for page in PAGES:
        own = [block for block in blocks(page) if block.language == language]
        if free := [block for block in own if not block.needs_data]:
            found.append(pytest.param(free, id=page.name))
        if len(free) < len(own):
            found.append(pytest.param(own, id=f"{page.name} with data", marks=pytest.mark.slow))
    return found


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
    """Return each `$ elastic` line of a console block with the output that is shown below it."""
    joined = re.sub(r"\\\n\s*", "", block.text)
    parts = re.split(r"^\$ ", joined, flags=re.MULTILINE)[1:]
    return [(command, shown) for command, _, shown in (part.partition("\n") for part in parts) if is_ours(command)]


def is_ours(command: str) -> bool:
    return command.split()[0] == "elastic"


def words(text: str) -> list[str]:
    """Return what is printed without the numbers that rounding changes."""
    return PERCENT.sub("~", ROUNDING.sub("~", text)).split()


def percents(text: str) -> list[float]:
    return [float(number) for number in PERCENT.findall(text)]


@pytest.mark.parametrize("chosen", cases("console"))
def test_commands_run_and_print_what_is_shown(folder, chosen):
    data = data_folder(chosen)
    for block in chosen:
        for command, shown in commands(block):
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = _run(shlex.split(re.sub(r"\bDATA\b", data, command))[1:])
            assert code == 0, f"{block.page.name}: {command}\n{err.getvalue()}"
            if shown.strip():
                printed = out.getvalue().replace(data, "DATA") if data else out.getvalue()
                assert words(printed) == words(shown), command
                assert percents(printed) == pytest.approx(percents(shown), abs=ACCURACY), command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_spoken_of_exist(page):
    spoken = set(re.findall(r"`elastic ([a-z-]+)", page.read_text(encoding="utf-8")))
    assert spoken <= VERBS


def test_a_mark_belongs_to_the_next_block_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"{MARK}\n```python\na\n```\n\n```console\n$ elastic info \\\n    x\nshown\n$ make\n```\n")
    first, second = blocks(page)
    assert (first.language, first.text, first.line, first.needs_data) == ("python", "a\n", 3, True)
    assert not second.needs_data
    assert commands(second) == [("elastic info x", "shown\n")]
