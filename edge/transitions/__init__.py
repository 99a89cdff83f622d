"""From class probabilities over time to decided changes of emotion.

`Watch` is the stage; `TransitionParameters` is all it knows. Time comes with each prediction, so
the same predictions give the same transitions, live or replayed, at any frame rate.
"""

from edge.transitions.detector import Watch
from edge.transitions.parameters import METHOD, TransitionParameters

__all__ = ["METHOD", "TransitionParameters", "Watch"]
