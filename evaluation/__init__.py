"""Protocols and measures: ranks in, figures out; integer histograms first, so that no order of summation can matter."""
