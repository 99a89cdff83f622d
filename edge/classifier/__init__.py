"""The ensemble: picture networks and the LSTM over blendshapes."""
