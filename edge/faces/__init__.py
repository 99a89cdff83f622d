"""Finding and tracking faces: one protocol, its back ends."""
