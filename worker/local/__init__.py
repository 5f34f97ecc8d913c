"""Everything for running on a laptop: a local Kafka, sample models and pictures, simulated cameras, the demo."""
