"""The `clipwise` command."""
