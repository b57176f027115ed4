"""What memory is made of: episodes found and read, lessons, doubts about a configuration, forgetting."""
