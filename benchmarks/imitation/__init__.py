"""What imitation 1.0.1 is measured by: run by its own Python, so nothing here imports it."""
