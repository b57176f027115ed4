"""A campaign from its charter to its findings, and a recipe to its verdicts; only tasks and lab import it."""
