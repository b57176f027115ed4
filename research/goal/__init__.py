"""A goal in words read as an objective: names, bounds, wishes; campaign and tasks import it."""
