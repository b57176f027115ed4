"""Statistics of trials, from claims to verdicts: knows metrics and the space, and all above may import it."""
