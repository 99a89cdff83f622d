"""What is true now: retained state and fresh events, straight from the broker to the browsers."""
