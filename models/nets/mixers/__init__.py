"""Sequence mixers: what a block may let its positions exchange by, all of one interface."""
