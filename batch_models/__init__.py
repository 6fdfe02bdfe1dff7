"""Batch models, retrained from the log by periodic jobs. The only folder that may import torch."""
