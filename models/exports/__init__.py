"""Networks for elsewhere: a file a format, a loader beside it, and the proof that it runs without the lab."""
