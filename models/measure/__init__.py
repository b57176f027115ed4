"""What the final network is measured for: scores, size, FLOPs, memory, latency, answers."""
