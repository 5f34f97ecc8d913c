"""The application: the only place where all parts are assembled."""
