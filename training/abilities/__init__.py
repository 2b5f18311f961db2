"""What the bundled model can do, measured with plain transformers and plain forward hooks."""
