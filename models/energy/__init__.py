"""The meter: CPU seconds, counters and watts become joules and carbon, with who disturbed them."""
