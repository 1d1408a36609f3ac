"""Which pose, how sure, and which set of poses explains the frame: refinement, likelihood, covariance, selection."""
