"""The research team: what its roles may answer, how they discuss, review, improve and word a verdict."""
