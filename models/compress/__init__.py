"""Makes a network smaller or faster, one idea per file. Imported by measure and by what runs a trial."""
