"""Readers for the data sets, each in its official form."""
