"""The meter: CPU seconds, joules and carbon, and who disturbed them. Imported by training and above it."""
