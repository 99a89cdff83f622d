"""Frames from cameras, clips and streams; only the newest is kept."""
