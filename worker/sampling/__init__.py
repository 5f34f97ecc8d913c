"""Samplers: which frames become samples for the model, and which are skipped."""
