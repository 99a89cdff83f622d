"""From class probabilities over time to decided changes of emotion."""
