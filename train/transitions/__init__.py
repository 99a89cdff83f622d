"""Streams with known changes, and what fits the change detector to them."""
