"""Dose and response: what a vector does at each size, what it costs, and what chance would do."""
