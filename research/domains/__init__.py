"""Fields of research: each is a file of conf/domain that says which part of the space belongs to it."""
