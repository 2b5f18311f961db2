"""Ways to answer a question, each by its name: one call, samples and a vote, debates; all with one answer format."""
