"""Values and seams: what everything else is made of. msgspec and the standard library only, no I/O."""
