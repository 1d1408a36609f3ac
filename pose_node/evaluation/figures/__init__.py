"""Figures of a run from its records: recall, curves, consistency, tracks, and their intervals."""
