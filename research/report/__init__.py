"""What was found, written for people: every number in it is read from the database."""
