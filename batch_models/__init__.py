"""Batch models, retrained from a cut of the log by periodic jobs. The only folder that may import torch."""
