"""Everything that touches a tensor: networks, training, measurement. Imported by `train.py` alone."""
