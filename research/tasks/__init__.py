"""What `agent.py` can be asked to do, in a file each; agent.py, train.py (for its command line) and lab import it."""
