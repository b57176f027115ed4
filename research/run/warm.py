"""Import it to pay once for what the row of a trial would cost every process that is forked from this one.

The digest of the sources is taken here, right after they were imported: a trial is identified by the code
that it runs, also when a file changes while a sweep goes on.
"""

import sys

from refusal import Refusal
from research.space import identity, knobs, sources
from research.store import store

__all__ = ["store"]

try:
    sources.code_digest()
    identity.hardware_class({"accelerator": "cpu"})
    knobs.own()
except (OSError, Refusal) as error:
    print(f"what names a trial could not be read ahead: {error!r}", file=sys.stderr)  # each trial will try
