"""Where proposals come from: sources that are asked and told; the team and campaign import it."""
