"""The program: its verbs, and what a failure looks like (one line on stderr, exit 1; 2 for misuse)."""

import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

import typer

from elastic.cli import (
    attention,
    bench,
    compare,
    demo,
    deploy,
    doctor,
    dynamic,
    evaluate,
    export,
    fine_tune,
    gate,
    info,
    nest,
    profile,
    prune,
    quantise,
    rebuild,
    report,
    sensitivity,
    soft_prune,
    train,
    verify,
)
from elastic.cli.printing import plain
from elastic.errors import ElasticError, UnknownName
from elastic.version import VERSION

# What typer raises when it can't make sense of the arguments: click's UsageError, or that of its own copy of click.
MISUSE: Any = typer.BadParameter.__base__

app = typer.Typer(
    name="elastic",
    help="Prune a network, keep what was cut in the same file, put it back bit for bit.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("prune")(prune.prune)
app.command("train")(train.train)
app.command("fine-tune")(fine_tune.fine_tune)
app.command("nest")(nest.nest)
app.command("soft-prune")(soft_prune.soft_prune)
app.command("quantise")(quantise.quantise)
app.add_typer(gate.app, name="gate")
app.add_typer(dynamic.app, name="dynamic")
app.command("attention")(attention.attention)
app.command("sensitivity")(sensitivity.sensitivity)
app.command("rebuild")(rebuild.rebuild)
app.command("export")(export.export)
app.command("deploy")(deploy.deploy)
app.command("info")(info.info)
app.command("verify")(verify.verify)
app.command("report")(report.report)
app.command("doctor")(doctor.doctor)
app.command("compare")(compare.compare)
app.command("bench")(bench.bench)
app.command("profile")(profile.profile)
app.command("eval")(evaluate.evaluate)
app.command("demo")(demo.demo)


def _version(asked: bool) -> None:
    if asked:
        print(f"elastic {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Prune a network, keep what was cut in the same file, put it back bit for bit."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 can't be done, 2 misuse, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed by whoever started us
            setattr(sys, stream, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    sys.exit(_run(given))


def _run(given: Sequence[str]) -> int:
    code = _obey(list(given) or ["--help"])
    try:
        sys.stdout.flush()
    except OSError as reason:
        if not isinstance(reason, BrokenPipeError):  # then the reader left, and knows
            print(f"error: the result can't be printed: {reason.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more when it exits
        return code or 1
    return code


def _obey(given: list[str]) -> int:
    # Not through the command's own main(): what that makes of an exception differs from one typer to the next.
    command = typer.main.get_command(app)
    try:
        with command.make_context("elastic", list(given)) as context:
            command.invoke(context)
        return 0
    except typer.Exit as done:
        return int(done.exit_code)
    except MISUSE as misuse:
        print(f"error: {_misuse(misuse)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; no file is left half-written", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1  # the reader left; nothing more to say
    except Exception as reason:
        if "--debug" in given:
            raise
        print(f"error: {_one_line(reason)}", file=sys.stderr)
        return 2 if isinstance(reason, UnknownName) else 1


def _misuse(misuse: Any) -> str:
    text = " ".join(misuse.format_message().split()).rstrip(".")
    return f"{text}; see `{misuse.ctx.command_path if misuse.ctx else 'elastic'} --help`"


def _one_line(reason: Exception) -> str:
    text = plain(" ".join(str(reason).split()) or type(reason).__name__)
    return (
        text if isinstance(reason, ElasticError) else f"{type(reason).__name__}: {text} (elastic --debug shows where)"
    )
