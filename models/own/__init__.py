"""What a person brings: networks that are not ours, and the weights that they begin from."""
