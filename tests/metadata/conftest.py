"""Tests are imported without packages, so what they share is put on the path under a name of its own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
