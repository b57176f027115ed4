"""The roles: what each answers, how they discuss, review, improve, word; campaign and tasks import it."""
