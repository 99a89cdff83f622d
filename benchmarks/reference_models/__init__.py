"""Networks that boards are compared by all over the literature, written here with random weights.

How long a network takes does not depend on what its weights are, so none are shipped: the files are
written operator by operator, always the same ones (docs/adr/0007-reference-models.md).
"""
