"""Readers of data sets: one file a format. A new one is a file here and a line in `producers.datasets`."""
