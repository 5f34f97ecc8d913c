"""How good a model is, and where it is wrong: arithmetic on what the worker has published."""
