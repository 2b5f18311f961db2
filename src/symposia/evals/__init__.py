"""Measuring what conversations achieve: task sets, methods, budgets, statistics, scorecards."""
