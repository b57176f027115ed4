"""Everything that touches a decision: the gate, the store, statistics, proposers. It never imports torch."""
