"""Activations that outlive their forward: rows by digest, with whose forward and whose tokens they are."""
