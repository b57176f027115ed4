"""Imported for its effect before anything heavy, by `train.py` and the processes that fork trials."""
