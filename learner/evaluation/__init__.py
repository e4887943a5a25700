"""Figures that judge reward models and agents, each with its baseline."""
