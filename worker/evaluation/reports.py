"""The report that belongs to what was evaluated: of classes, or of boxes."""

from worker.domain.errors import SettingsError
from worker.evaluation.box_report import BoxReport, Detecting, box_report, with_box_rival
from worker.evaluation.report import ClassReport, Evaluated, class_report, with_rival


def report_of(
    found: Evaluated | Detecting, rival: Evaluated | Detecting | None, *, data: str, most: int
) -> ClassReport | BoxReport:
    """Return the report of a model, compared with another one if there is one.

    Args:
        found: what the worker has published with the model.
        rival: the same with the other model.
        data: what they were evaluated on.
        most: mistakes that are listed.

    Raises:
        SettingsError: one model predicts classes, and the other boxes.
    """
    match found, rival:
        case Evaluated(), Evaluated():
            return with_rival(class_report(found, data=data, most=most), found, rival)
        case Evaluated(), None:
            return class_report(found, data=data, most=most)
        case Detecting(), Detecting():
            return with_box_rival(box_report(found, data=data, most=most), rival)
        case Detecting(), None:
            return box_report(found, data=data, most=most)
    raise SettingsError([f"{found.model} and {rival and rival.model} cannot be compared: only one of them finds boxes"])
