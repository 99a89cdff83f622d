"""What the dashboard can take: events a second, a term of history, restarts."""
