"""What is known of an object before anything is measured: its card, its surface, where its folder lies."""
