"""Verifying: the proofs of every level of a file, here and now."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from elastic.checkpoint import load
from elastic.exporting import GATED_STATES, SUFFIXES, Format, check_format, export
from elastic.makes import is_gated
from elastic.metadata import read_header, verify_level
from elastic.planned import load_plan
from elastic.proofs import prove_cut

Networks = Callable[[int], nn.Module]  # that of a level, by its number
Told = Callable[[str], None]  # what is begun


@dataclass(frozen=True)
class Proven:
    """What was measured of a level: differences relative to the largest output, None where there was nothing to do."""

    level: str
    digest: str  # SHA-256 of what was read, which is what was saved
    masked_equals_cut: float | None  # None of the largest level
    export_error: float | None  # None where the format can't hold the level's gates


def verify_levels(
    path: str | Path,
    example: Tensor,
    *,
    to: Format = "onnx",
    network: Networks | None = None,
    told: Told | None = None,
) -> tuple[Proven, ...]:
    """Return the proofs of every level, smallest first: it is what was saved, masked = cut, its export = torch.

    `network` gives that of a level, for a file that names none.

    Raises ProofFailed and ExportError, with the values that differ, and what `load_plan` and `load` raise.
    """
    check_format(to)
    header, planned = read_header(path), load_plan(path)
    of_level = network or partial(load, path, header=header)
    last = len(header.levels) - 1
    whole, found = of_level(last), []
    for number, level in enumerate(header.levels):
        if told is not None:
            told(f"verifying {level.name}")
        verify_level(path, number)
        cut = None if number == last else prove_cut(whole, planned.plan, planned.levels, number, example)
        found.append(Proven(level.name, level.digest, cut, _export_error(of_level(number), example, to)))
    return tuple(found)


def _export_error(network: nn.Module, example: Tensor, to: Format) -> float | None:
    if is_gated(network) and to not in GATED_STATES:
        return None
    with tempfile.TemporaryDirectory() as folder:
        return export(network, example, Path(folder) / f"level{SUFFIXES[to]}", to).error
