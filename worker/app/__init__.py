"""The application: the one place where all parts are put together."""
