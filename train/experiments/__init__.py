"""Runs: a recipe in, a folder of checkpoints, histories and reports out."""
