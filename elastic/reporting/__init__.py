"""Reports: the figures of a run as a folder that people look at, made of plain data."""
