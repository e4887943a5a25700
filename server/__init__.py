"""FastAPI application, database models and store; starts without torch."""
