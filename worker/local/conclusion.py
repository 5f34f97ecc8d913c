"""Say in sentences what a demo's summary means, for people."""

import math

from worker.local.summary import Summary


def conclusion(summary: Summary) -> list[str]:
    """Return the sentences, one fact each; the faults of the run are `Summary.faults`."""
    facts = [_frames(summary), _right(summary), _video(summary), _latency(summary), _killed(summary)]
    return [fact for fact in facts if fact]


def _frames(summary: Summary) -> str:
    return (
        f"{summary.frames_sent} frames were sent: {_count(summary.predictions, 'prediction')}, "
        f"{_count(summary.dead_letters, 'dead letter')}, {summary.lost or 'none'} lost, "
        f"{summary.predicted_twice + summary.counted_twice or 'none'} twice."
    )


def _right(summary: Summary) -> str:
    if not summary.labelled:
        return "No frame had a label."
    share = math.floor(100 * summary.correct / summary.labelled)  # 100 % means all of them
    return (
        f"{summary.correct} of {summary.labelled} labelled frames were right ({share} %). "
        "The pictures turn and blur on purpose, so that the model errs in some."
    )


def _video(summary: Summary) -> str:
    missing, extra = len(summary.video.missing_cuts), len(summary.video.extra_cuts)
    if missing or extra:
        return f"Of the video's {summary.cuts_expected} cuts, {missing} were missed, and {extra} were found too many."
    return f"The video's {summary.cuts_expected} cuts were found, and none more."


def _latency(summary: Summary) -> str:
    if not summary.latency_ms:
        return ""
    return (
        f"Half of the frames got their prediction within {duration(summary.latency_ms['p50'])}, "
        f"99 % within {duration(summary.latency_ms['p99'])}."
    )


def _killed(summary: Summary) -> str:
    if not summary.workers_killed:
        return ""
    return (
        f"One worker was killed: {summary.lost} of {summary.frames_sent} frames were lost, "
        f"{summary.counted_twice} were counted twice, {summary.predicted_twice} were predicted twice."
    )


def duration(milliseconds: float) -> str:
    """Write a duration as people say it: 85 ms, 2.1 s."""
    return f"{milliseconds:.0f} ms" if round(milliseconds) < 1000 else f"{milliseconds / 1000:.1f} s"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
