"""Triton kernels of the forward on CUDA. `tables` needs no triton; the others are imported only where it is."""
