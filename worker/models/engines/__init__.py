"""Engines: what runs a model's graph."""
