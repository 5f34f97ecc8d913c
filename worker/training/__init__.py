"""How a network learns from labelled data."""
