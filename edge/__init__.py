"""The device: camera frames in, emotion transitions out."""

__version__ = "0.1.0"
