"""Measuring emoshift: latency on this machine, against its peers, and projected onto boards."""
