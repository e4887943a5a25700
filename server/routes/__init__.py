"""HTTP: one module per page or family of addresses."""
