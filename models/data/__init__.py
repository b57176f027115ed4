"""Data sets as tensors in memory, one `load` per file. Imported by all of models above nets and optim."""
