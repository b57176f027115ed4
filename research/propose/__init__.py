"""Where proposals come from, one source a file that is asked and told; the team and campaign import it."""
