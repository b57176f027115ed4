"""What the final network is measured for: size, FLOPs, latency, peak. Imported by what runs a trial."""
