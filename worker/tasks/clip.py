"""Which class a clip shows: what is done with a picture's classes is done with a clip's."""

from worker.tasks.classify import Classify


class ClassifyClip(Classify):
    """The task `classify`, of a network that looks at several frames together."""

    name = "clip"
