"""One training, from its settings to its weights. Imported by compress, measure and what runs a trial."""
