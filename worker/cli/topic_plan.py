"""Show a plan for the topics to people, and to programs."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from worker.app.topic_plan import TopicPlan

_SIGNS: Final = {"create": "+", "change": "~", "keep": "="}
_WIDTH: Final = 79


def lines(plans: Sequence["TopicPlan"], replication_factor: int | None) -> Iterator[str]:
    """Yield the lines of a plan: what happens to each topic, why, and what that does to others.

    Args:
        plans: one for each topic.
        replication_factor: of new topics; None if the brokers choose it.
    """
    width = max(len(each.name) for each in plans)
    for each in plans:
        yield f"{_SIGNS[each.action]} {each.action:6} {each.name:{width}}  {_partitions(each)}"
        if each.now is None:
            yield from (f"    {option}: {value}" for option, value in each.config.items())
        for change in each.changes:
            yield f"    {change.option}: {change.before or 'unknown'} -> {change.after}"
            yield from _indented("why: ", change.reason)
            yield from _indented("effect: ", change.effect)
        for text in each.impossible:
            yield from _indented("cannot: ", text)
        for text in each.notes:
            yield from _indented("note: ", text)
    yield from _totals(plans, replication_factor)


def as_json(plans: Sequence["TopicPlan"], replication_factor: int | None) -> str:
    """Return the plan as a JSON array, with one object for each topic."""
    return json.dumps(
        [
            {
                "role": each.role,
                "topic": each.name,
                "action": each.action,
                "partitions": each.partitions,
                "replication_factor": each.now.replication_factor if each.now else replication_factor,
                "config": each.config,
                "changes": [asdict(change) for change in each.changes],
                "impossible": each.impossible,
                "notes": each.notes,
            }
            for each in plans
        ]
    )


def _partitions(plan: "TopicPlan") -> str:
    number = plan.now.partitions if plan.now else plan.partitions
    return f"{number} partition" if number == 1 else f"{number} partitions"


def _indented(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        label + text, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 8, break_on_hyphens=False
    )


def _totals(plans: Sequence["TopicPlan"], replication_factor: int | None) -> Iterator[str]:
    create, change = (sum(each.action == action for each in plans) for action in ("create", "change"))
    yield ""
    if not create and not change:
        yield "nothing to do: every topic is as the worker needs it"
        return
    yield f"{create} to create, {change} to change, {len(plans) - create - change} to keep"
    if create:
        copies = replication_factor or "the default of the brokers"
        yield f"replication factor of new topics: {copies}"
