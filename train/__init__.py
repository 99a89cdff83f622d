"""Data, networks and experiments: what makes the models."""
