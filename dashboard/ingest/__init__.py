"""From the broker into the history, by as many workers as it takes."""
