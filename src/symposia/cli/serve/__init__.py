"""`symposia serve`: models, profiles and budgets behind an OpenAI-compatible door."""
