"""What people and Prometheus watch: metrics, logs, the watchdog."""
