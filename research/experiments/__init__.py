"""What an experiment of conf/experiment is made of: its study, its trials, its verdicts."""
