"""A run's figures as a page, pictures, tables in the terminal, and two runs compared."""
