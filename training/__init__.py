"""Everything that makes the bundled model: grammar, tokenizer, training, export and measurement."""
