"""Start of the process; its arguments are a file descriptor and a folder, see `serve.main`."""

import sys
from pathlib import Path

from search.cores.child.serve import main

main(int(sys.argv[1]), Path(sys.argv[2]))
