"""The base class of all groups of settings, and the kinds of values that several of them have."""

from pydantic import BaseModel, ConfigDict, ValidationError, ValidatorFunctionWrapHandler, WrapValidator


class Group(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def whole_or_auto(least: int, most: int) -> WrapValidator:
    """Return what checks a number of which `auto` leaves the choice to the worker, and says both in one sentence."""

    def check(value: object, inner: ValidatorFunctionWrapHandler) -> object:
        try:
            found = inner(value)
        except ValidationError:
            found = None
        if found == "auto" or (isinstance(found, int) and least <= found <= most):
            return found
        raise ValueError(f"write auto, or a whole number from {least} to {most}")

    return WrapValidator(check)
