"""Measurements: clouds, samples of segments, and the rays around them."""
