"""Which pairs to ask, and when."""
