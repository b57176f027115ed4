"""The roles: what they are told, answer, discuss and review; only campaign/ and tasks/ import it."""
