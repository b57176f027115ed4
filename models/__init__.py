"""Everything that touches a tensor: networks, data, training, measurement. It never imports `research`."""
