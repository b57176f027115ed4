"""People's own data as arrays, decoded once and kept. Imported by models and research; imports no torch."""
