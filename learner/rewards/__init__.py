"""Reward models fitted to preferences."""
