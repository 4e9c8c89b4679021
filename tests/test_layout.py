"""The tree tells the architecture: packages, head docstrings, and imports that point one way."""

import ast
import configparser
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOPS = {"importance": "elastic.importance", "metadata": "elastic.metadata", "cli": "elastic.cli"}

SOURCES = sorted(
    path
    for top in ("elastic", *TOPS)
    for path in (ROOT / top).rglob("*.py")
    if top != "elastic" or path.relative_to(ROOT).parts[1] not in TOPS
)
LONGEST = 300  # lines; past 250 a file is asked where its second idea went

FILES, MODULES, SCORES = "elastic.metadata", "elastic.fitting", "elastic.importance"
ABOVE = (
    "elastic.cli",
    "elastic.pruning",
    "elastic.checkpoint",
    "elastic.exporting",
    "elastic.proofs",
    "elastic.tracing",
)

# What each may not import. A prefix stands for the package and all in it.
FORBIDDEN = {
    "elastic.errors": ("torch", "numpy", "elastic.plan"),
    "elastic.metadata": ("torch", "torchvision", "pydantic", "elastic.plan", "elastic.costs", MODULES, SCORES, *ABOVE),
    "elastic.plan": ("torch", "elastic.costs", FILES, MODULES, SCORES, *ABOVE),
    "elastic.costs": ("torch", MODULES, SCORES, *ABOVE),
    "elastic.targets": ("torch", FILES, MODULES, SCORES, *ABOVE),
    "elastic.allocation": ("torch", FILES, MODULES, SCORES, *ABOVE),
    "elastic.cutting": ("elastic.costs", MODULES, SCORES, *ABOVE),
    "elastic.masking": (FILES, MODULES, SCORES, *ABOVE),
    "elastic.fitting": ("elastic.plan", FILES, SCORES, *ABOVE),
    "elastic.importance": ("elastic.allocation", FILES, MODULES, *ABOVE),
    "elastic.watching": ("elastic.plan", "elastic.costs", "elastic.recovery", FILES, MODULES, SCORES, *ABOVE),
    "elastic.recovery": ("elastic.costs", "elastic.allocation", FILES, MODULES, SCORES, *ABOVE),
    "elastic.recipes": ("torch", "numpy", "elastic.training"),
    "elastic.training": ("elastic.plan", "elastic.costs", "elastic.allocation", MODULES, SCORES, *ABOVE),
    "elastic.reporting": (
        "torch",
        "numpy",
        "elastic.plan",
        "elastic.costs",
        "elastic.allocation",
        "elastic.training",
        MODULES,
        SCORES,
        *ABOVE,
    ),
    "elastic.sensitivity": ("elastic.cli", "elastic.pruning", "elastic.checkpoint", "elastic.exporting"),
    "elastic.comparing": ("elastic.cli", "elastic.checkpoint", "elastic.exporting"),
    "elastic.dynamic": ("elastic.cli", "elastic.pruning", "elastic.checkpoint", "elastic.exporting"),
    "elastic.dynamic_gating": ("torch", "numpy", "elastic.training"),
    "elastic.quantise": ("elastic.costs", "elastic.cli", "elastic.pruning", "elastic.checkpoint", "elastic.exporting"),
    "elastic.latency": ("elastic.cli", "elastic.pruning", "elastic.checkpoint", "elastic.gates"),
    "elastic.dynamic.skipping": ("elastic.plan", "elastic.costs", FILES, MODULES, SCORES, *ABOVE),
    "elastic.advising": ("torch", "numpy", "elastic.plan"),
    "elastic.diagnosing": ("torch", "elastic.costs", FILES, MODULES, SCORES, *ABOVE),
    "elastic.drawing": ("torch", "matplotlib", "elastic.costs", MODULES, SCORES, *ABOVE),
    "elastic.tracing": (
        "elastic.allocation",
        "elastic.costs",
        FILES,
        SCORES,
        *(a for a in ABOVE if a != "elastic.tracing"),
    ),
    "elastic.tracing.following": ("torch_pruning", "elastic.tracing.library", "elastic.tracing.tracer"),
    "elastic.tracing.library": ("elastic.tracing.following", "elastic.tracing.tracer"),
    "elastic.models": ("elastic.plan", FILES, MODULES, SCORES, *ABOVE),
    "elastic.data": ("elastic.plan", FILES, MODULES, SCORES, *ABOVE),
}


def name_of(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    parts = [*TOPS[parts[0]].split("."), *parts[1:]] if parts[0] in TOPS else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    skipped = {id(inner) for outer in typing_only for inner in ast.walk(outer)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


SHOWN = [str(path.relative_to(ROOT)) for path in SOURCES]


def test_the_packages_of_setup_cfg_are_the_folders() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert set(setup["options"]["packages"].split()) == {name_of(p) for p in SOURCES if p.name == "__init__.py"}


@pytest.mark.parametrize("name", TOPS)
def test_the_top_folders_are_linked_into_the_package(name: str) -> None:
    assert (ROOT / "elastic" / name).resolve() == ROOT / name


@pytest.mark.parametrize("path", SOURCES, ids=SHOWN)
def test_every_file_begins_with_a_docstring(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", SOURCES, ids=SHOWN)
def test_no_file_has_outgrown_its_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", SOURCES, ids=SHOWN)
def test_imports_point_one_way(path: Path) -> None:
    own = name_of(path)
    forbidden = [rule for package, rules in FORBIDDEN.items() if within(own, package) for rule in rules]
    wrong = [name for name in imports_of(path) for rule in forbidden if within(name, rule) and not within(rule, own)]
    assert not wrong


@pytest.mark.parametrize("path", SOURCES, ids=SHOWN)
def test_only_tracing_knows_the_graph_library(path: Path) -> None:
    if not within(name_of(path), "elastic.tracing.library.graph"):
        assert not any(within(name, "torch_pruning") for name in imports_of(path))


@pytest.mark.parametrize("path", SOURCES, ids=SHOWN)
def test_nothing_but_the_command_line_knows_it(path: Path) -> None:
    if not within(name_of(path), "elastic.cli"):
        assert not any(within(name, "elastic.cli") for name in imports_of(path))


def test_modules_import_in_no_circle() -> None:
    known = {name_of(path): path for path in SOURCES}
    edges = {
        name: {found for found in imports_of(path) if found in known and not within(name, found) and found != "elastic"}
        for name, path in known.items()
        if name != "elastic"  # the lazy front door: it imports a name when that is first used
    }
    done: set[str] = set()
    while ready := {name for name, wanted in edges.items() if name not in done and wanted <= done}:
        done |= ready
    assert not set(edges) - done
