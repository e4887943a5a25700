"""Environment families behind one protocol."""
