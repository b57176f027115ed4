"""What `agent.py` can be asked to do, in a file each; agent.py, lab and train.py (its line) import it."""
