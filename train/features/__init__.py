"""Features measured once over a data set and kept: blendshapes, landmarks, head pose."""
