"""Where proposals come from: each file is one source, and all answer the same two questions, ask and tell."""
