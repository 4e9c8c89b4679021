"""Dynamic: networks that decide at run time what an input is worth."""
