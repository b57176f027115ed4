"""What a sprint is made of: charter, bench of trials, screening, confirming, spending."""
