"""What is known about an object before any measurement: its card, its surface, its folder."""
