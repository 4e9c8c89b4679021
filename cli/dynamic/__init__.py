"""`elastic dynamic`: gates on levels of a file that each position of an input decides."""

import typer

from elastic.cli.dynamic.channel import channel
from elastic.cli.dynamic.precision import precision
from elastic.cli.dynamic.skip import skip

app = typer.Typer(help="Let inputs decide what is computed.", rich_markup_mode=None, no_args_is_help=True)
app.command("channel")(channel)
app.command("precision")(precision)
app.command("skip")(skip)
