"""The table of `tuned.py`."""


def table(records):
    return ""
