"""What `benchmarks/serve.py` measures with: an upstream, a load, servers to put between them."""
