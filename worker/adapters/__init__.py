"""Adapters: each wraps one third-party library behind plain keyword arguments."""
