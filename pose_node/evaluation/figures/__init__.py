"""What a run's records add up to: recall, curves, intervals, tracks."""
