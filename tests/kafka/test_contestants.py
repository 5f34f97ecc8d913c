"""The scripts that the benchmark compares with answer every frame, as torchvision does, and nothing of them is left.

Spark, PyFlink and Quix Streams need environments of their own; `make bench ARGS="--only engines"` compares what they
answer.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.benchmarks import sessions
from tests.benchmarks.answers import Found, expected_names, frames_to_answer
from tests.benchmarks.bench import Bench
from tests.benchmarks.models import TimedModel
from tests.benchmarks.parts.engines import ANSWERED, answer
from tests.benchmarks.processes import Contestant, Place, Start, script, script_on_each_core
from worker.domain.times import EventMillis
from worker.models.manifest import load_manifest
from worker.models.ready import ready_model

COUNT = 40
SCRIPTS = {
    "one message at a time": [script("per_message")],
    "in batches": [script("batching_script")],
    "in batches, one for each core": script_on_each_core("batching_script", 2),
}

pytestmark = [pytest.mark.thorough, pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")]


@pytest.mark.parametrize("starts", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_a_script_answers_every_frame(bootstrap_servers: str, tmp_path: Path, starts: Sequence[Start]) -> None:
    manifest = load_manifest(ready_model("mobilenet_v2"))
    model = TimedModel("real", "mobilenet_v2", manifest.file.parent, manifest.file)
    bench = Bench(bootstrap_servers, tmp_path, quick=True)
    started = list[Contestant]()

    def noted(start: Start) -> Start:
        def start_and_note(place: Place, model: TimedModel) -> Contestant:
            started.append(start(place, model))
            return started[-1]

        return start_and_note

    topic = f"{ANSWERED}-{tmp_path.name}"
    bench.create(topic)
    bench.send(frames_to_answer(topic, COUNT, EventMillis(1_700_000_000_000)))

    answered = answer(bench, topic, model, [noted(start) for start in starts], expected_names(manifest, COUNT))

    assert (answered.found.frames, answered.found.same) == (COUNT, COUNT)
    assert len(started) > 1 or answered.found == Found(COUNT, COUNT, 0)
    assert answered.first_after > 0
    assert [sessions.memory(each.session) for each in started] == [0] * len(started)
