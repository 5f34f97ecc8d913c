"""Generate the tables of docs/ from the code: `python -m tests.support.generated` writes them."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from worker.cli.settings import settings_table
from worker.cli.size import USUAL_FRAME
from worker.cli.size_report import SHOWN_LIMITS, limit_text, lines_of
from worker.domain.sizing import WORKER_BYTES, Cameras, Plan, Speed, limits_of, size_of
from worker.ops.telemetry import Telemetry
from worker.settings import Limits, Topics
from worker.settings.topics import HEADERS, NEEDS, replay_marks

DOCS = Path(__file__).parents[2] / "docs"


def metrics_table() -> str:
    """Return every metric with its labels and meaning, as Markdown."""
    registry = CollectorRegistry()
    Telemetry(registry, max_cameras=1)
    rows = ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
    metrics = [each for each in registry._collector_to_names if isinstance(each, MetricWrapperBase)]
    for metric in sorted(metrics, key=lambda each: each._name):
        (family,) = metric.describe()
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    return "\n".join(rows)


def topics_table() -> str:
    """Return every topic with what it must be, as Markdown."""
    rows = [
        "| topic | setting | direction | partitions | `cleanup.policy` | `max.message.bytes` |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    names = Topics()
    for role in Topics.model_fields:
        needs, name = NEEDS[role], f"`{names.in_use()[role]}`" if role in names.in_use() else "none by default"
        policy = (
            f"`{needs.cleanup_policy}`" if needs.cleanup_policy else "not `compact`" * bool(needs.lost_if_compacted)
        )
        partitions = f"at least as many as `{names.frames}`" if needs.partitions_as_frames else ""
        room = f"at least {HEADERS} more than `{names.frames}`" if needs.room_for_frames else ""
        rows.append(f"| {name} | `topics.{role}` | {needs.direction} | {partitions} | {policy} | {room} |")
    marks = replay_marks(names.dead_letters)
    origin, policy = "named after `topics.dead_letters`", marks.config["cleanup.policy"]
    rows.append(f"| `{marks.name}` | {origin} | a replay's marks | {marks.partitions} | `{policy}` |  |")
    return "\n".join(rows)


def sizing_tables() -> str:
    """Return what some numbers of cameras need, and what breaks first, as Markdown."""
    speed, plan = Speed(answers=400, cores=2, memory=WORKER_BYTES + Limits().memory), Plan()
    loads = [Cameras(count=count, fps=5, frame_bytes=USUAL_FRAME, answers=5) for count in (10, 1_000, 100_000)]
    sizes = [size_of(load, speed, plan) for load in loads]
    heads = [f"{load.count:,} cameras" for load in loads]
    columns = [
        [line.result for line in lines_of(load, speed, plan, size)] for load, size in zip(loads, sizes, strict=True)
    ]
    names = [line.name.replace("  ", "- ") for line in lines_of(loads[0], speed, plan, sizes[0])]
    rows = [f"| | {' | '.join(heads)} |", "| --- | --- | --- | --- |"]
    rows += [f"| {' | '.join(row)} |" for row in zip(names, *columns, strict=True)]
    rows += ["", "| cameras | used | what breaks first | what to do |", "| --- | --- | --- | --- |"]
    for load, size in zip(loads, sizes, strict=True):
        for each in limits_of(load, speed, plan, size)[:SHOWN_LIMITS]:
            rows.append(f"| {load.count:,} | {each.share:.0%} | {limit_text(each)} | {each.remedy} |")
    return "\n".join(rows)


def tables() -> dict[str, str]:
    """Return the generated tables, by the name of their page and of their markers."""
    return {
        "topics": topics_table(),
        "settings": settings_table(),
        "metrics": metrics_table(),
        "sizing": sizing_tables(),
    }


def fill(page: Path, name: str, content: str) -> None:
    """Write content between the markers of a name on a page.

    Raises:
        ValueError: the page has no such markers.
    """
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"(<!-- {name}[^>]*-->\n).*?(<!-- /{name} -->)", text, re.DOTALL)
    if found is None:
        raise ValueError(f"{page} has no markers for {name!r}: write them where the content belongs")
    page.write_text(f"{text[: found.start()]}{found[1]}{content}\n{found[2]}{text[found.end() :]}", encoding="utf-8")


def main() -> None:
    """Write each table between the markers of its page."""
    for name, content in tables().items():
        fill(DOCS / f"{name}.md", name, content)


if __name__ == "__main__":
    main()
