"""Models: where they come from, and what runs them."""
