"""A machine's power: its processor's watts, counters, profile and grid. Imported by models and research."""
