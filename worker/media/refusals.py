"""Texts of refusals that several kinds of picture share."""

from worker.domain.errors import ImageUndecodable, Reason
from worker.domain.pictures import Flaw


def truncated(kind: str, text: str) -> ImageUndecodable:
    """Return the refusal of a picture whose end is missing."""
    return ImageUndecodable(Reason.TRUNCATED, f"the {kind} is truncated: {text}; send the whole picture")


def damaged(kind: str, text: str, flaw: Flaw | None = None) -> ImageUndecodable:
    """Return the refusal of a picture that contradicts itself."""
    return ImageUndecodable(
        Reason.NOT_A_PICTURE, f"the {kind} is damaged: {text}; send the picture as its encoder wrote it", flaw
    )
