"""Methods side by side on the same items: what they got right, what it cost, and what may be said of the difference."""
