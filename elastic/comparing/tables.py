"""Tables: a comparison as rows of text, for a terminal and as Markdown."""

import math

from elastic.comparing.choices import RANDOM, UNIFORM
from elastic.comparing.judging import Judgement
from elastic.comparing.results import Comparison, Row

SHORT = {"better": "better", "worse": "worse", "no difference shown": "not shown"}


def cells(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return the heads of the columns, and the cells of each choice, the best first."""
    is_recovered = comparison.header.recover
    heads = ["criterion", "allocation", "MACs", "params", *(["cut, %"] if is_recovered else []), "top-1, %"]
    heads += ["std", "range", f"to {RANDOM}", "verdict", f"to {UNIFORM}", "verdict"]
    return heads, [_cells(row, is_recovered) for row in comparison.rows]


def about(comparison: Comparison) -> list[str]:
    """Return lines that say what was compared and how the verdicts are to be read."""
    header, rows = comparison.header, comparison.rows
    seeds, images = rows[0].seeds, comparison.images
    repaired = "after the repair" if header.recover else "after the cut, without repair"
    given = "".join(f"; {name}: {value}" for name, value in header.settings.items())
    lines = [
        f"{header.target}, {repaired}; {seeds} {'seed' if seeds == 1 else 'seeds'}; "
        f"the whole network has {header.whole.accuracy:.2f} %{given}.",
        f"{RANDOM} and {UNIFORM} are the controls. Differences are in points, to {RANDOM} with the same allocation and "
        f"to {UNIFORM} by the same criterion, each with a 95 % interval over seeds and test images. Verdicts are "
        f"Holm's, for {_compared(rows, RANDOM)} and {_compared(rows, UNIFORM)} differences at 5 % each. {_both(rows)}",
    ]
    if images:
        share = rows[0].last.mean / 100
        error = 100 * math.sqrt(share * (1 - share) / images)
        lines.append(f"{images:,} test images give the best mean a standard error of {error:.2f} points by themselves.")
    else:
        lines.append("Which test images were hits isn't known, so intervals leave out that the test set is a sample.")
    if seeds == 1:
        lines.append("A single seed says nothing of the spread between seeds, so nothing is judged.")
    if same := sum(row.is_same_for_all_seeds for row in rows):
        lines.append(f"{same} of {len(rows)} choices came out the same with every seed (=).")
    return lines


def markdown(comparison: Comparison) -> str:
    """Return the table as Markdown, with what was compared above it."""
    heads, rows = cells(comparison)
    rule = ["---", "---", *["---:"] * (len(heads) - 2)]
    lines = ["| " + " | ".join(each) + " |" for each in (heads, rule, *rows)]
    return "\n\n".join(about(comparison)) + "\n\n" + "\n".join(lines) + "\n"


def _cells(row: Row, is_recovered: bool) -> list[str]:
    cut = [f"{row.cut.mean:.2f}"] if is_recovered else []
    same = " =" if row.is_same_for_all_seeds else ""
    deviation = "" if math.isnan(row.last.deviation) else f"{row.last.deviation:.2f}{same}"
    spread = [f"{row.last.mean:.2f}", deviation, f"{row.last.low:.2f} – {row.last.high:.2f}"]
    judged = [text for each in (row.against_random, row.against_uniform) for text in _judged(each)]
    return [row.criterion, row.allocation, f"{row.macs:.1%}", f"{row.params:.1%}", *cut, *spread, *judged]


def _judged(judgement: Judgement | None) -> tuple[str, str]:
    if judgement is None:
        return "", "control"
    about = f" ± {judgement.half_width:.2f}" if math.isfinite(judgement.half_width) else ""
    return f"{judgement.difference.mean:+.2f}{about}", SHORT[judgement.verdict]


def _compared(rows: tuple[Row, ...], control: str) -> int:
    return sum((row.against_random if control == RANDOM else row.against_uniform) is not None for row in rows)


def _both(rows: tuple[Row, ...]) -> str:
    best = [f"{row.criterion} with {row.allocation}" for row in rows if row.beats_controls]
    return f"Better than both: {', '.join(best)}." if best else "No choice is shown to be better than both."
