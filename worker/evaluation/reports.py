"""The report that belongs to what was evaluated: of classes, of several classes in a picture, or of boxes."""

from worker.domain.errors import SettingsError
from worker.evaluation.box_report import BoxReport, Detecting, box_report, with_box_rival
from worker.evaluation.named_report import NamedReport, Naming, named_report, with_named_rival
from worker.evaluation.report import ClassReport, Evaluated, class_report, with_rival

Found = Evaluated | Naming | Detecting
"""What a worker has published of a model's run."""
Report = ClassReport | NamedReport | BoxReport


def report_of(found: Found, rival: Found | None, *, data: str, most: int) -> Report:
    """Return the report of a model, compared with another one if there is one.

    Args:
        found: what the worker has published with the model.
        rival: the same with the other model.
        data: what they were evaluated on.
        most: mistakes that are listed.

    Raises:
        SettingsError: the models do not predict the same kind of thing.
    """
    match found, rival:
        case Evaluated(), Evaluated():
            return with_rival(class_report(found, data=data, most=most), found, rival)
        case Evaluated(), None:
            return class_report(found, data=data, most=most)
        case Naming(), Naming():
            return with_named_rival(named_report(found, data=data, most=most), rival)
        case Naming(), None:
            return named_report(found, data=data, most=most)
        case Detecting(), Detecting():
            return with_box_rival(box_report(found, data=data, most=most), rival)
        case Detecting(), None:
            return box_report(found, data=data, most=most)
    kinds = " and ".join(_KINDS[type(each)] for each in (found, rival))
    raise SettingsError(
        [f"{found.model} and {rival and rival.model} cannot be compared, they predict {kinds}: give models of one task"]
    )


_KINDS: dict[type[object], str] = {Evaluated: "one class", Naming: "several classes", Detecting: "boxes"}
