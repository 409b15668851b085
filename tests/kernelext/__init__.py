"""A package, so that the kernel which its tests share ends with them: later tests ask that no cluster is left."""
