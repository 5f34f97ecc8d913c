"""Kafka consumer workers that run torch vision models over camera frames."""

__version__ = "0.1.0"
