"""A person's sweep: the plan, what is known already, progress, and the table at its end."""
