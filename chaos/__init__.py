"""Faults on purpose: what Engram promises when something breaks, tried by seed, and judged by an independent reader."""
