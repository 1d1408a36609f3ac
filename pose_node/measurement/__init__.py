"""What was measured, and how far it can be trusted: clouds, samples of them, the rays around a place."""
