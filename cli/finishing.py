"""What verbs that make levels do in the end: the file with what was measured, the page, and what is printed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elastic.cli.printing import say, show
from elastic.cli.training import rows_of, show_levels
from elastic.sizes import size_text

if TYPE_CHECKING:
    from elastic.cli.gate.files import Files
    from elastic.cli.networks import Opened
    from elastic.pruning import Pruned
    from elastic.reporting import Report


def save_tested(output: Path, pruned: "Pruned", opened: "Opened", top1: Sequence[float], overwrite: bool) -> None:
    """Write the levels of a network that the user gave, each with its accuracy, smallest first."""
    pruned.save(
        output,
        model_name=opened.name,
        arguments=opened.arguments,
        input=opened.preprocessing.to_dict(),
        metrics={name: {"top1": found} for name, found in zip(pruned.names, top1, strict=True)},
        overwrite=overwrite,
    )


def finish(
    output: Path,
    files: "Files",
    report: "Report",
    told: dict[str, Any],
    seen: str,
    json: bool,
    lines: Sequence[str] = (),
) -> None:
    """Write the page of a run whose file is written, delete what it could have gone on with, and print the levels.

    `told` is what programs are told beside the levels; `seen` says what people find on the page, `lines` what they are
    told beside the levels.
    """
    from elastic.metadata import read_header
    from elastic.reporting import write_report

    page = write_report(report, files.folder, overwrite=True)
    files.delete_what_is_over()
    rows, written = rows_of(read_header(output)), output.stat().st_size
    result = {"output": str(output), "bytes": written, "levels": rows, **told, "report": str(page)}

    def render() -> None:
        show_levels(rows)
        for line in lines:
            say(line)
        say(f"{output}: {len(rows)} levels in {size_text(written)}; {page}: {seen}")

    show(result, json, render)
