"""Conversations: what each participant sees, who speaks next, and the one loop that takes turns."""
