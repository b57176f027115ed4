"""What was found, written for people, every number read from the database; campaign and tasks import it."""
