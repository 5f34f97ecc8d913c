"""Labelled pictures and videos: where they come from, and how they are split."""
