"""What the gate is made of: reading texts, ranges, constraints, and composing conf/ as Hydra does."""
