"""The decoder stack in C: built with the machine's own compiler on first use, and never required."""
