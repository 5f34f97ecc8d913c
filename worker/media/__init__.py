"""Pictures and videos: what they are, and how they become pixels."""
