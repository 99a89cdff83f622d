"""The networks, in pure Keras 3 for any back end; ReLU only, which int8 kernels are fast at."""
