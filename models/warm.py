"""Import it to pay once for what the first meter would cost every process that is forked from this one."""

import sys

from models.estimate import preload

try:
    preload()
except Exception as error:
    # No reason to keep a trial from running: its own meter will say that it has no figure, and why.
    print(f"CodeCarbon could not be preloaded: {error!r}", file=sys.stderr)
