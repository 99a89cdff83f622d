"""A simulated classroom: many known faces in one picture, and what is measured on it."""
