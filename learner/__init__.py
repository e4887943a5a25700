"""Environments, segments, teachers, reward models, agents, evaluation and the worker."""
