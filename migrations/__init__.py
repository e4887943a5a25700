"""Alembic migrations; `clipwise migrate` runs them, `python -m migrations MESSAGE` drafts one."""
