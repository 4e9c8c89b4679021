"""The command line: one verb a file, thin: parse, call, print."""

from elastic.cli.app import main

__all__ = ["main"]
