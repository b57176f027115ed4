"""Imported for effect before anything heavy: what a process need not load, or loads once for its forks."""
