"""Intervals and tests of a scorecard, in pure Python: exact where a closed form exists, seeded where it does not."""
