"""``edge doctor``: what stands in the way of running here, and the commands that cure it."""
