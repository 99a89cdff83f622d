"""What the health message reports: the board, the image, drift, load."""
