"""Learning a room: what is recorded, what is fitted to it, and the layer that comes of it."""
