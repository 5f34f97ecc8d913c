"""Observability: metrics, logs, the watchdog."""
