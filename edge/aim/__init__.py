"""``edge aim``: shows a technician what the camera sees, as shapes and numbers."""
