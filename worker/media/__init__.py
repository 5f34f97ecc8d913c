"""Pictures and videos: recognise them and decode them to pixels."""
