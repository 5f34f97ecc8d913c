"""The pure core: values in, values out. Standard library and numpy only."""
