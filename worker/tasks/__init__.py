"""What a model is asked: how its answer becomes a result, and how that is compared with a label."""
