"""Decode steps recorded once and replayed: what may be, what is told to them, and what records them."""
