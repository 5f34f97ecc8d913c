"""One third-party library each, behind plain keyword arguments."""
