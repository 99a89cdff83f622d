"""The same pictures for everyone, in turns, each on one processor."""
