"""Everything for a laptop: a local Kafka, sample models and pictures, simulated cameras, the demo."""
