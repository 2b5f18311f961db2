"""Seeded generators of everyday dialogues between people of many manners. No text from elsewhere."""
