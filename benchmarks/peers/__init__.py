"""The same pictures for every program, in turns, each on one processor."""
