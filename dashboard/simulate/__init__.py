"""Simulated classrooms: the demonstration, the tests' devices and the load generator."""
