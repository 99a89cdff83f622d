"""From class probabilities over time to decided changes of emotion.

`TransitionDetector` is the stage; `TransitionParameters` is all it knows. Time comes with each
prediction, so the same predictions give the same transitions, live or replayed.
"""

from edge.transitions.detector import TransitionDetector
from edge.transitions.parameters import METHOD, TransitionParameters

__all__ = ["METHOD", "TransitionDetector", "TransitionParameters"]
