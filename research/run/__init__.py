"""What the runner is made of: one process that has imported everything, its children, and how they end."""
