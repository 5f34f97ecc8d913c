"""The task `multi_label`: which classes are named, how they are compared and counted, and what is said of them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score

from tests.support.engines import ENGINES
from tests.support.frames import FRAMES, MODEL, a_frame, a_prediction
from tests.support.models import Answering, open_model, small_model
from tests.support.schemas import check_json, sample
from tests.support.tints import TINTS, Tints, tinted, write_tints_model
from worker import wire
from worker.cli.tail import Kind, as_line
from worker.domain.arrays import Arrays
from worker.domain.errors import ModelContractBroken
from worker.domain.frames import GroundTruth
from worker.domain.geometry import Geometry
from worker.domain.preprocessing import Output
from worker.domain.records import Position, Record
from worker.domain.results import HitCounts, NamedVerdict, ScoredClass, SeveralClasses
from worker.domain.tallies import NamedCounts, Tally, TallyKey
from worker.domain.times import EventMillis
from worker.ports import Asked
from worker.tasks.multi_label import MultiLabel
from worker.tuning.measure import answer_of
from worker.views.facts import NOTHING_NAMED, facts_of
from worker.views.shown import Truth

ONE = Asked(Geometry(8, 8, scale_x=1.0, scale_y=1.0, left=0, top=0), (0,))
NAMES = ("hat", "glasses", "beard", "scarf", "gloves", "bag")
NOW = EventMillis(1_700_000_000_310)


def a_task(*, thresholds: Any = 0.5, top_k: int = 2, output: Output = "sigmoid") -> MultiLabel:
    return MultiLabel(NAMES, output=output, thresholds=thresholds, top_k=top_k)


def answer(rows: list[list[float]]) -> Arrays:
    scores = np.array(rows, np.float32)
    return {"probabilities": scores, "total": scores.sum(axis=1)}


def said(row: list[float], **settings: Any) -> SeveralClasses:
    task = a_task(**settings)
    ((result,),) = task.results(task.check(answer([row]), 1), [ONE])
    return result


@pytest.mark.parametrize(
    ("row", "settings", "named", "listed"),
    [
        ([0.1, 0.9, 0.2, 0.6, 0.3, 0.4], {}, ("glasses", "scarf"), (1, 3)),
        ([0.1, 0.9, 0.2, 0.3, 0.3, 0.4], {}, ("glasses",), (1, 5)),
        ([0.1, 0.2, 0.1, 0.3, 0.3, 0.4], {}, (), (5, 3)),
        ([0.7, 0.9, 0.6, 0.6, 0.3, 0.5], {}, ("glasses", "hat", "beard", "scarf", "bag"), (1, 0, 2, 3, 5)),
        ([0.1, 0.9, 0.2, 0.6, 0.3, 0.4], {"thresholds": 0.95}, (), (1, 3)),
        ([0.1, 0.9, 0.2, 0.6, 0.3, 0.4], {"thresholds": [0.1, 1, 1, 1, 1, 0.4]}, ("bag", "hat"), (1, 3, 5, 0)),
        ([0.5, 0.25, 0, 0, 0, 0], {"thresholds": [0.5, 0.25, 1, 1, 1, 1]}, ("hat", "glasses"), (0, 1)),
        ([0.5, 0.25, 0, 0, 0, 0], {"thresholds": 0}, NAMES, (0, 1, 2, 3, 4, 5)),
        ([0.1, 0.9, 0.2, 0.6, 0.3, 0.4], {"top_k": 1}, ("glasses", "scarf"), (1, 3)),
        ([0.1, 0.9, 0.2, 0.6, 0.3, 0.4], {"top_k": 99}, ("glasses", "scarf"), (1, 3, 5, 4, 2, 0)),
    ],
)
def test_every_class_that_reaches_its_threshold_is_named_and_listed(
    row: list[float], settings: dict[str, Any], named: tuple[str, ...], listed: tuple[int, ...]
) -> None:
    result = said(row, **settings)

    assert result.named == named
    assert result.classes == tuple(ScoredClass(index, NAMES[index], float(np.float32(row[index]))) for index in listed)


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        (answer([[0.5] * 6]), "answered for 1 of 2 pictures"),
        (answer([[0.5] * 6, [0.5] * 5 + [np.nan]]), "NaN or infinity: are its weights damaged"),
        ({"probabilities": np.ones((2, 6)), "total": np.array([0.0, np.inf])}, "NaN or infinity"),
        (answer([[0.5] * 6, [0.5] * 5 + [1.01]]), "no probabilities; say output: sigmoid in its manifest"),
        (answer([[0.5] * 6, [0.5] * 5 + [-0.01]]), "no probabilities; say output: sigmoid"),
    ],
)
def test_answers_that_are_not_what_they_are_said_to_be(outputs: Arrays, text: str) -> None:
    with pytest.raises(ModelContractBroken, match=text):
        a_task(output="probabilities").check(outputs, 2)


BROKEN: list[tuple[Callable[[torch.Tensor], object], Output, str]] = [
    (lambda x: torch.zeros(len(x), 5), "sigmoid", r"returned \(2, 5\), not \(2, 3\): do its labels belong"),
    (lambda x: torch.zeros(len(x), 1), "sigmoid", r"returned \(2, 1\), not \(2, 3\)"),
    (lambda x: torch.full((len(x), 3), torch.inf), "sigmoid", "NaN or infinity"),
    (lambda x: torch.full((len(x), 3), torch.nan), "sigmoid", "NaN or infinity"),
    (lambda x: torch.full((len(x), 3), -4.0), "probabilities", "no probabilities; say output: sigmoid"),
]


@pytest.mark.parametrize(("answers", "output", "text"), BROKEN)
def test_a_network_that_breaks_the_contract(
    answers: Callable[[torch.Tensor], object], output: Output, text: str
) -> None:
    model = small_model(Answering(answers), task="multi_label", labels=TINTS, output=output)
    with pytest.raises(ModelContractBroken, match=text):
        model.run(np.zeros((2, 8, 8, 3), np.uint8))


def test_probabilities_that_do_not_sum_up_to_one_are_taken_as_they_are() -> None:
    row = torch.tensor([0.9, 0.8, 0.1])
    model = small_model(
        Answering(lambda x: row.expand(len(x), 3)), task="multi_label", labels=TINTS, output="probabilities"
    )
    assert np.array_equal(model.run(np.zeros((2, 8, 8, 3), np.uint8))["probabilities"], np.stack([row.numpy()] * 2))


@pytest.mark.parametrize(
    ("label", "verdict"),
    [
        ('["hat", "beard"]', NamedVerdict(("hat",), ("beard",), ("glasses",))),
        ('["glasses", "hat"]', NamedVerdict(("hat", "glasses"))),
        ('["glasses", "glasses", "0"]', NamedVerdict(("hat", "glasses"))),
        ("[]", NamedVerdict((), (), ("hat", "glasses"))),
        ("hat", NamedVerdict(("hat",), (), ("glasses",))),
        ("1", NamedVerdict(("glasses",), (), ("hat",))),
        ('["hat", "crown"]', None),
        ("crown", None),
        ("[hat]", None),
        ("[0, 1]", NamedVerdict(("hat", "glasses"))),
        (' ["hat", 1]', NamedVerdict(("hat", "glasses"))),
        ('["hat", 6]', None),
        ('["hat", -1]', None),
        ('["hat", true]', None),
        ('["hat", 1.0]', None),
        ('["hat", null]', None),
        ('["hat", ["glasses"]]', None),
        ('{"hat": 1}', None),
        ("[" * 100_000, None),
        (None, None),
    ],
)
def test_verdicts(label: str | None, verdict: NamedVerdict | None) -> None:
    assert a_task().judge(said([0.9, 0.6, 0, 0, 0, 0]), GroundTruth(label)) == verdict


def test_nothing_said_of_nothing_is_right() -> None:
    verdict = a_task().judge(said([0.0] * 6), GroundTruth("[]"))
    assert verdict == NamedVerdict()
    assert (verdict.exact, verdict.jaccard) == (True, 1.0)


sets = st.sets(st.sampled_from(NAMES), max_size=6)


@given(st.lists(st.tuples(sets, sets), min_size=1, max_size=9))
def test_counts_are_those_of_scikit_learn(frames: list[tuple[set[str], set[str]]]) -> None:
    task, counts = a_task(), NamedCounts()
    for named, true in frames:
        verdict = task.judge(said([float(name in named) for name in NAMES]), GroundTruth(json.dumps(sorted(true))))
        assert verdict is not None
        counts = counts.including(verdict)
    predicted, truth = (np.array([[name in each[side] for name in NAMES] for each in frames]) for side in (0, 1))

    assert counts.exact == (predicted == truth).all(axis=1).sum()
    assert counts.jaccard == pytest.approx(
        len(frames) * jaccard_score(truth, predicted, average="samples", zero_division=1)
    )
    for place, name in enumerate(NAMES):
        found = counts.classes.get(name, HitCounts())
        assert found.hits == (predicted & truth)[:, place].sum()
        assert (found.misses, found.false_alarms) == (
            (truth & ~predicted)[:, place].sum(),
            (predicted & ~truth)[:, place].sum(),
        )


def predicted(result: SeveralClasses, label: str | None) -> Any:
    verdict = a_task().judge(result, GroundTruth(label))
    return replace(a_prediction(a_frame(12, partition=3, label=label)), result=result, verdict=verdict)


@pytest.mark.parametrize("label", ['["hat", "beard"]', "[]", "hat", "crown", None])
@pytest.mark.parametrize("row", [[0.9, 0.6, 0, 0, 0, 0], [0.0] * 6])
def test_a_prediction_fits_its_schema_and_reads_back(row: list[float], label: str | None) -> None:
    sent = wire.render_prediction("predictions", predicted(said(row), label), published_at=NOW)
    document = check_json("multi-label-prediction", sent.value)
    message = wire.decode_message(sent.value or b"")

    assert isinstance(message, wire.MultiLabelMessage)
    assert msgspec.json.encode(message) == sent.value
    assert document["named"] == (["hat", "glasses"] if row[0] else [])
    assert document["label"] == label
    assert (document["correct"] is None) == (label in {"crown", None})


def test_a_prediction_is_written_as_the_stored_sample_byte_for_byte() -> None:
    stored = sample("multi-label-prediction")
    task = MultiLabel(("vest", "ladder", "helmet"), output="sigmoid", thresholds=0.5, top_k=5)
    ((result,),) = task.results(task.check(answer([[0.625, 0.25, 0.9375]]), 1), [ONE])
    written = json.dumps(stored, separators=(",", ":")).encode()
    message = wire.decode_message(written)

    assert isinstance(message, wire.MultiLabelMessage)
    assert msgspec.json.encode(message) == written
    assert message.named == list(result.named)
    assert [(each.index, each.name, each.probability) for each in message.classes] == list(result.classes)
    verdict = task.judge(result, GroundTruth(message.label))
    assert verdict is not None
    assert message.correct == wire.NamedField(verdict.exact, verdict.jaccard, *map(list, verdict))


counted = st.builds(HitCounts, *(st.integers(0, 99),) * 3)


@given(st.dictionaries(st.sampled_from(NAMES), counted), st.integers(0, 9), st.floats(0, 9))
def test_accuracy_fits_its_schema_and_reads_back_whole(
    classes: Mapping[str, HitCounts], exact: int, jaccard: float
) -> None:
    tally = Tally(
        TallyKey(FRAMES, "cam-1", MODEL),
        NOW,
        seen=12,
        labelled=9,
        next_offset=40,
        named=NamedCounts(exact, jaccard, classes),
    )
    sent = wire.render_accuracy("accuracy", tally, published_at=NOW)
    document = check_json("accuracy", sent.value)

    assert wire.parse_accuracy(Record(Position(FRAMES, 0), sent.key, sent.value, sent.headers, NOW)) == tally
    assert (document["accuracy"], document["correct"]) == ({"top1": None, "top5": None}, {"top1": 0, "top5": 0})
    assert document["multi_label"]["exact_ratio"] == exact / 9
    assert [each["name"] for each in document["multi_label"]["classes"]] == sorted(classes)


def message_of(row: list[float], label: str | None) -> tuple[wire.Message, Record]:
    sent = wire.render_prediction("predictions", predicted(said(row), label), published_at=NOW)
    return wire.decode_message(sent.value or b""), Record(Position(FRAMES, 0), sent.key, sent.value, (), NOW)


def test_what_is_shown_of_it() -> None:
    found = facts_of(message_of([0.9, 0.6, 0.4, 0, 0, 0], '["hat", "beard"]')[0])
    assert [each.name for each in found.classes] == ["hat", "glasses"]
    assert found.truth == Truth("hat, beard", right=False)
    nothing = facts_of(message_of([0.0] * 6, "[]")[0])
    assert (nothing.classes, nothing.note) == ((), NOTHING_NAMED)
    assert nothing.truth == Truth(NOTHING_NAMED, right=True)
    assert facts_of(message_of([0.0] * 6, "[hat")[0]).truth == Truth("[hat", right=None)


def test_what_tail_prints_of_it() -> None:
    wrong, right, unknown = (
        as_line(Kind.PREDICTIONS, message_of(row, label)[1])
        for row, label in (([0.9, 0.6, 0, 0, 0, 0], '["hat"]'), ([0.0] * 6, "[]"), ([0.9, 0, 0, 0, 0, 0], "crown"))
    )
    assert wrong.startswith("- cam-1 ")
    assert "hat 90.0%, glasses 60.0%" in wrong
    assert right.startswith("+ cam-1 ")
    assert "none of the classes" in right
    assert unknown.startswith("  cam-1 ")
    tally = Tally(TallyKey(FRAMES, "cam-1", MODEL), NOW, seen=12, labelled=8, named=NamedCounts(6, 7.0, {}))
    sent = wire.render_accuracy("accuracy", tally, published_at=NOW)
    line = as_line(Kind.ACCURACY, Record(Position(FRAMES, 0), sent.key, sent.value, (), NOW))
    assert "exact 75.0%, Jaccard 87.5%: 6 of 8 labelled, 12 seen" in line


def test_two_answers_agree_if_they_name_the_same_classes() -> None:
    message, _ = message_of([0.9, 0.6, 0.4, 0, 0, 0], None)
    found = answer_of(message)
    assert found.said == {0, 1}
    assert dict(found.probabilities) == pytest.approx({0: 0.9, 1: 0.6})


# By every engine.


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_each_class_its_own_probability(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path / "cache"))
    model = open_model(write_tints_model(tmp_path, task="multi_label"), engine=engine)
    shown = [{"red"}, {"red", "blue"}, set(TINTS), set()]
    batch = np.stack([tinted(each, width=16, height=16) for each in shown])
    found = model.run(batch)
    with torch.inference_mode():
        expected = torch.sigmoid(Tints()(torch.from_numpy(batch).permute(0, 3, 1, 2) / 255))

    np.testing.assert_allclose(found["probabilities"], expected.numpy(), rtol=1e-4)
    results = model.task.results(found, [ONE] * len(batch))
    named = [set(each[0].named) for each in results if isinstance(each[0], SeveralClasses)]
    assert named == shown
