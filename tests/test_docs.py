"""The documentation: built without a warning, whole, and at rest without a network."""

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import elastic

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))


def in_nav(part) -> list[str]:
    """Return the pages of a part of the navigation, in order."""
    if isinstance(part, str):
        return [part]
    return [page for each in (part.values() if isinstance(part, dict) else part) for page in in_nav(each)]


def settings() -> dict:
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def test_the_navigation_has_every_page_once():
    assert sorted(in_nav(settings()["nav"])) == PAGES


def test_benchmarks_that_are_spoken_of_exist():
    text = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
    spoken = set(re.findall(r"benchmarks/\w+\.py", text))
    assert [each for each in sorted(spoken) if not (ROOT / each).is_file()] == []


def test_the_extra_names_what_the_site_is_built_with():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = {re.split(r"[\[>=<]", line)[0] for line in setup["options.extras_require"]["docs"].split()}
    assert {"mkdocs", "mkdocs-material", "mkdocstrings"} <= wanted


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; a warning is an error."""
    for package in ("material", "mkdocstrings_handlers.python"):
        pytest.importorskip(package, reason="the docs are built with the extra `docs`")
    folder = tmp_path_factory.mktemp("docs") / "site"
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # about the future of mkdocs, not about this site
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def test_the_site_has_every_page(site):
    assert [page for page in PAGES if not (site / page).with_suffix(".html").is_file()] == []


def test_the_site_loads_nothing_from_outside(site):
    loads = re.compile(r'(?:<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=|url\()"?(?:https?:)?//[^">]*')
    files = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert [(file.name, found) for file in files for found in loads.findall(file.read_text("utf-8"))] == []


@pytest.mark.parametrize("name", [name for name in elastic.__all__ if not name.startswith("_")])
def test_the_site_shows_what_a_public_name_is(site, name):
    shown = "\n".join(page.read_text(encoding="utf-8") for page in (site / "api").glob("*.html"))
    assert re.search(rf'id="elastic\.(\w+\.)*{name}"', shown)
