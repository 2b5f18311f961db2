"""Causal replay of a debate: one thing changed, the rest sampled as it was, and what came of it."""
