"""A machine's power, known to both wings: its processor's watts, its counters, its profile, its grid."""
