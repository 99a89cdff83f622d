"""Workloads and measurements: speed, memory, accuracy of transitions."""
