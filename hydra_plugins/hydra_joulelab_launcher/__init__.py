"""A Hydra launcher and a sweeper whose trials are processes of their own; found without installing."""
