"""Trials in processes, sweeps and their lines; report, campaign, tasks, launcher and train.py import it."""
