"""Orders over demonstrations, and the preferences that follow from them."""
