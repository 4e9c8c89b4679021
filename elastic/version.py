"""The version, in a file of its own: setup.cfg reads it without importing torch."""

VERSION = "0.1.0"
