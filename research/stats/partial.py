"""Trials of which something was left unmeasured, and who may be answered by them all the same."""

from collections.abc import Mapping
from typing import Any

LEFT_OUT = "infer"
"""what a cheap look leaves out: the latency, CPU time and energy of the network's answers"""
_NEEDS = ("infer/", "compress/")


def lacking(facts: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """What a trial with these facts left unmeasured that `config` asks for: all but its own `unmeasured`."""
    own = config.get("unmeasured") or ()
    return [name for name in facts.get("unmeasured") or () if name not in own]


def spared(metrics: list[str]) -> list[str]:
    """What a look may leave out that is for these metrics only."""
    return [] if any(metric.startswith(_NEEDS) for metric in metrics) else [LEFT_OUT]
