"""Measuring which settings are the fastest here that still answer as the reference does, and keeping what was found."""
