"""What verdicts are made of: Student's t, error control over a campaign, what may be compared, efficiency."""
