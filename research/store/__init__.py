"""The database and all SQL: tables, claims, verbs, named questions; memory, llm and above import it."""
