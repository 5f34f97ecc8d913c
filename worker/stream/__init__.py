"""The stream: the loop, and what it keeps, batches and publishes."""
