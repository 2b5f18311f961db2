"""Questions with one right answer: four sets of our own, their generators, and readers of other people's files."""
