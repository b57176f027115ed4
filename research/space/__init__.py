"""The gate: what may be turned, what a trial is named by, profiles, domains; all above the goal import it."""
