"""Where things are: the repository, its pages, data that may not be here, the installed program."""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
TRIPTYCH = Path(sys.executable).parent / "triptych"
