"""Alarms: one module per idea, each a pure function of a run's stored figures."""
