"""The search space: the one gate for overrides, what a trial's name depends on, profiles, domains."""
