"""How good a network is: predictions, metrics, tables."""
