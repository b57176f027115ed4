"""What `agent.py` can be asked to do: a file a task, the same from the command line and from Python."""
