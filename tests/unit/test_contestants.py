"""What the contestants of the benchmark are made of, and how their answers and costs are compared."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.benchmarks.answers import Found, compare, expected_names, frames_to_answer
from tests.benchmarks.contestants import environments
from tests.benchmarks.contestants.environments import java_home_of
from tests.benchmarks.parts.engines import FLINK, SPARK, Answered, Cost, outcome
from tests.benchmarks.parts.throughput import (
    IN_UINT8,
    PER_MESSAGE,
    QUIX,
    SCRIPT,
    SCRIPTS,
    TUNED,
    UNTUNED_NAME,
)
from tests.benchmarks.published import publish
from tests.benchmarks.report import TARGETS
from tests.support.generated import fill
from worker.domain.times import EventMillis
from worker.local.jars import locked_jars
from worker.models.manifest import load_manifest
from worker.models.packages import FetchFailed
from worker.models.ready import ready_model

PINNED = Path(environments.__file__).with_name("pinned")
ENGINES = sorted(file.stem for file in PINNED.glob("*.in"))
RATES: dict[str, Sequence[float]] = {
    TUNED: [300.0, 320.0, 310.0],
    IN_UINT8: [400.0, 400.0, 400.0],
    UNTUNED_NAME: [200.0, 200.0, 200.0],
    SPARK: [100.0, 80.0, 155.0],
    FLINK: [100.0, 100.0, 100.0],
    SCRIPTS: [150.0, 160.0, 155.0],
    SCRIPT: [90.0, 90.0, 90.0],
    QUIX: [70.0, 70.0, 70.0],
    PER_MESSAGE: [50.0, 50.0, 50.0],
}
COSTS = {name: [Cost(8.0, 2**20), Cost(9.0, 2**20), Cost(7.0, 3 * 2**20)] for name in RATES}


def requirements(file: Path) -> list[Requirement]:
    lines = (line.removesuffix("\\").strip() for line in file.read_text().splitlines())
    return [Requirement(line) for line in lines if line[:1].isalnum()]


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engines_environment_is_pinned(engine: str) -> None:
    pinned, text = requirements(PINNED / f"{engine}.lock"), (PINNED / f"{engine}.lock").read_text()
    versions = {each.name: next(iter(each.specifier)).version for each in pinned}

    assert all(str(each.specifier).startswith("==") for each in pinned)
    assert text.count("--hash=sha256:") >= len(pinned)
    for asked in requirements(PINNED / f"{engine}.in"):
        assert versions[asked.name] in asked.specifier


@pytest.mark.parametrize("lock", sorted(PINNED.glob("*-jars.json")), ids=lambda lock: lock.stem)
def test_an_engines_jars_are_pinned(lock: Path) -> None:
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in locked_jars(lock))


def test_without_a_java_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    with pytest.raises(FetchFailed, match=r"spark needs a Java .*set JAVA_HOME to its folder$"):
        java_home_of("spark")


def test_each_frame_to_answer_has_a_key_of_its_own() -> None:
    frames = list(frames_to_answer("frames", 500, EventMillis(10_000_000)))

    assert len({frame.key for frame in frames}) == 500
    assert Counter(frame.partition for frame in frames) == dict.fromkeys(range(4), 125)
    assert len({frame.value for frame in frames}) == 240


def test_answers_are_compared_frame_by_frame() -> None:
    expected = {b"a": "cat", b"b": "dog", b"c": "cup", b"d": "pen"}

    # b has another answer the second time, c has the answer of another frame, and d has none.
    found = [(b"a", "cat"), (b"a", "cat"), (b"b", "dog"), (b"b", "cat"), (b"c", "dog")]

    assert compare(expected, found) == Found(frames=4, same=1, repeated=2)
    assert str(Found(3000, 2999, 0)) == "2,999 of 3,000"
    assert str(Found(3000, 3000, 32)) == "3,000 of 3,000, 32 published again"


def test_the_best_peer_is_the_best_of_all_others() -> None:
    found = outcome(RATES, COSTS, dict.fromkeys(RATES, Answered(Found(240, 240, 0), 4.25)), "Tuned.")

    assert found.ratios["over_spark"].median == 3.0
    assert found.ratios["over_best_of_all_peers"].median == 2.0
    assert found.ratios["box_over_flink"].median == 2.0
    assert found.ratios["uint8_over_flink"].median == 4.0
    assert found.ratios.keys() <= TARGETS.keys()
    assert found.tables[0].rows[0] == [TUNED, "310.0", "300.0 to 320.0", "8.0", "1", "4.2", "240 of 240"]


def test_the_pages_get_the_table_and_the_chart(tmp_path: Path) -> None:
    readme, page = tmp_path / "README.md", tmp_path / "docs" / "benchmarks.md"
    page.parent.mkdir()
    for each in (readme, page):
        each.write_text("Before.\n\n<!-- engines: written -->\nold\n<!-- /engines -->\n\nAfter.\n")

    publish(outcome(RATES, COSTS, dict.fromkeys(RATES, Answered(Found(9, 9, 0), 1.0)), "Tuned."), tmp_path, quick=True)

    text = page.read_text()
    assert text.startswith("Before.\n\n<!-- engines: written -->\nLight model, 640x480, a backlog; pyspark ")
    assert "\n\n![Frames from Kafka to Kafka](engines.svg)\n\n| contestant |" in text
    assert text.endswith("\n<!-- /engines -->\n\nAfter.\n")
    assert "old" not in text + readme.read_text()
    assert ". Tuned.\n" in text
    assert "a quick run" in text
    assert "\n![Frames from Kafka to Kafka](docs/engines.svg)\n\n| contestant |" in readme.read_text()
    assert (tmp_path / "docs" / "engines.svg").read_text().startswith("<svg")


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("Nothing.\n")

    with pytest.raises(ValueError, match="no markers for 'engines'"):
        fill(tmp_path / "page.md", "engines", "text")


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
def test_the_contestants_torch_answers_as_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PINNED.parent)
    from torch_classifier import messages, torch_classifier  # noqa: PLC0415 - a script's neighbour, not a package

    manifest = load_manifest(ready_model("mobilenet_v2"))
    frames = list(islice(frames_to_answer("frames", 24, EventMillis(10_000_000)), 24))
    expected = expected_names(manifest, 24)

    classify = torch_classifier("mobilenet_v2", str(manifest.file))
    results = messages("mobilenet_v2", classify([frame.value or b"" for frame in frames]))

    found = [
        (frame.key or b"", json.loads(result)["classes"][0]["name"])
        for frame, result in zip(frames, results, strict=True)
    ]
    assert compare(expected, found) == Found(24, 24, 0)
