"""The shell: what happens at a slot, to a batch, to an outcome."""
