"""Find the fastest settings on this machine whose answers agree with the reference, and save them in a profile."""
