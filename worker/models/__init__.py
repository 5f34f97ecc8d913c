"""Models: their sources, and the engines that run them."""
