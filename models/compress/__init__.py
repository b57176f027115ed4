"""Making a network smaller or faster, before, during or after its training; one idea per file."""
