"""`elastic gate`: learn what stays beside the weights: channels, or single weights."""

import typer

from elastic.cli.gate.adaptive import adaptive
from elastic.cli.gate.channels import channels
from elastic.cli.gate.weights import weights

app = typer.Typer(help="Learn what stays beside the weights.", rich_markup_mode=None, no_args_is_help=True)
app.command("channels")(channels)
app.command("weights")(weights)
app.command("adaptive")(adaptive)
