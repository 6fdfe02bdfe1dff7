"""Online models: arrays of state, numba kernels beside their model, and the registry of models."""
