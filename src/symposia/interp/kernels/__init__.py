"""Triton kernels that run instructions on CUDA; imported only where triton is. Their axes are those of `write`."""
