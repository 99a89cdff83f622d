"""What calibrating on one clip of a person brings on others, of the same person and of others."""
