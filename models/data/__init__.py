"""Data sets as tensors in memory: one file per source, each with a `load` that returns a `Dataset`."""
