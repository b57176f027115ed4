"""Import it to pay once for what the row of a trial would cost every process that is forked from this one.

The digest of the sources is taken here, right after they were imported: a trial is identified by the code
that it runs, also when a file changes while a sweep goes on.
"""

import sys

import construct
from refusal import Refusal
from research.space import identity, knobs, sources
from research.store import store

__all__ = ["store"]

try:
    # With a part that leads out of models/: which packages are installed is asked once, 0.26 CPU s.
    sources.code_digest({"meter": {"_target_": "models.energy.meter.Meter"}})
    identity.hardware_class({"accelerator": "cpu"})
    knobs.own()
    construct.own()
except (OSError, Refusal) as error:
    print(f"what names a trial could not be read ahead: {error!r}", file=sys.stderr)  # each trial will try
