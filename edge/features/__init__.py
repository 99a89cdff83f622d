"""What the networks are shown of a face: aligned crop, blendshapes, head pose."""
