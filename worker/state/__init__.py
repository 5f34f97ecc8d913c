"""What survives a restart and moves with a partition."""
