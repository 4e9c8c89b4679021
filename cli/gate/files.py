"""What a run leaves beside its output: a folder with epochs, pictures and a page, and where it stands."""

from pathlib import Path
from typing import Annotated

import typer

from elastic.cli.training import refuse_unasked

Folder = Annotated[
    Path | None,
    typer.Option(help="Where epochs, tables, pictures and the page go; NAME.report beside the output unless given."),
]


class Files:
    """The folder of a run, and the files in it by which it goes on."""

    def __init__(self, output: Path, folder: Path | None, resume: bool, overwrite: bool) -> None:
        """Make the folder. Raises OutputExists if there is a run in it that nobody asked to go on with or replace."""
        from elastic.errors import OutputExists, PathError

        self.folder = output.with_suffix(".report") if folder is None else folder
        self.keep, self.log = self.folder / "net.training", self.folder / "net.jsonl"
        refuse_unasked([self.folder / "net.0.training", *self.kept], resume)
        if self.folder.exists() and not self.folder.is_dir():
            raise PathError(f"{self.folder} is no folder; choose another one with --folder")
        if not (resume or overwrite) and (found := [*self.folder.glob("net.*.jsonl"), *self.folder.glob("report.*")]):
            raise OutputExists(f"{found[0]} is of another run; choose another --folder, or pass --overwrite")
        if not self.folder.parent.is_dir():
            raise PathError(f"there is no folder {self.folder.parent} to make {self.folder.name} in; make it first")
        self.folder.mkdir(exist_ok=True)

    @property
    def kept(self) -> list[Path]:
        """Where trainings stand; the first is there as soon as one was begun."""
        return sorted(self.folder.glob("net.*.training"))

    def delete_what_is_over(self) -> None:
        """Delete what was needed to go on with."""
        for path in self.kept:
            path.unlink()
