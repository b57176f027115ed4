"""One training from its settings to its weights: budget, steps, checkpoints, record; callbacks beside it."""
