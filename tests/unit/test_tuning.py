"""What tuning tries, and what it chooses, given what was measured: no model runs here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from worker.domain.errors import SettingsError
from worker.settings import Limits, ModelGroup, WindowGroup
from worker.settings.offline import Choice, Groups
from worker.tuning.agreement import Agreement
from worker.tuning.candidates import (
    Room,
    complexity,
    decoder_counts,
    other_engines,
    thread_splits,
    torch_candidates,
    values_of,
)
from worker.tuning.groups import not_overridden
from worker.tuning.pairs import EQUAL, Run
from worker.tuning.search import Found, Judged, Stage, halve, search


def groups(model: Mapping[str, Any] | None = None, **others: Mapping[str, Any]) -> Groups:
    """Return settings as a user wrote them."""
    return Groups(
        ModelGroup(path=Path("model"), **(model or {})),
        WindowGroup(**others.get("window", {})),
        Limits(**others.get("limits", {})),
    )


def room(cores: int = 2, model: Mapping[str, Any] | None = None, **others: Mapping[str, Any]) -> Room:
    return Room.of(groups(model, **others), cores=cores)


# What is tried.


def test_every_engine_is_tried_in_every_precision() -> None:
    everything = room()
    tried = [*torch_candidates(everything, everything.initial()), *other_engines(everything, everything.initial())]

    pairs = {(each["model.engine"], each["model.precision"]) for each in tried}
    precisions = everything.values["model.precision"]
    assert pairs == {
        *((engine, precision) for engine in ("eager", "openvino", "onnxruntime") for precision in precisions),
        ("compile", "fp32"),
    }


def test_compiling_is_tried_once_as_was_best_for_torch() -> None:
    best = {**room().initial(), "model.precision": "bf16", "model.memory_format": "contiguous"}
    (compiled,) = (each for each in other_engines(room(), best) if each["model.engine"] == "compile")

    assert compiled == {**best, "model.engine": "compile"}


def test_only_torch_is_given_a_memory_format() -> None:
    best = {**room().initial(), "model.memory_format": "contiguous"}

    formats = {(each["model.engine"], each["model.memory_format"]) for each in other_engines(room(), best)}
    assert formats == {("compile", "contiguous"), ("openvino", "channels_last"), ("onnxruntime", "channels_last")}


def test_it_begins_with_the_defaults_and_a_stream_a_core() -> None:
    initial = room(4).initial()

    assert initial["model.engine"] == "eager"
    assert (initial["model.streams"], initial["model.threads"]) == (4, 4)
    assert (initial["window.max_frames"], initial["limits.decode_threads"]) == (32, None)


@pytest.mark.parametrize(
    ("cores", "pairs"),
    [
        (1, [(1, 1)]),
        (2, [(2, 2), (1, 2), (1, 1)]),
        (4, [(4, 4), (2, 4), (1, 4), (3, 3), (1, 3)]),
    ],
)
def test_streams_and_threads_come_out_even(cores: int, pairs: Sequence[tuple[int, int]]) -> None:
    there = room(cores)
    found = [(each["model.streams"], each["model.threads"]) for each in thread_splits(there, there.initial())]

    assert found == pairs


def test_compiled_code_is_not_compiled_again_for_another_number_of_threads() -> None:
    compiled = {**room(4).initial(), "model.engine": "compile"}

    found = [(each["model.streams"], each["model.threads"]) for each in thread_splits(room(4), compiled)]
    assert found == [(4, 4), (3, 3)]


def test_a_gpu_takes_larger_batches_and_no_streams() -> None:
    gpu = room(8, {"device": "cuda"})

    assert [(each["model.streams"], each["model.threads"]) for each in thread_splits(gpu, gpu.initial())] == [(1, None)]
    sizes = [each["window.max_frames"] for each in values_of("window.max_frames")(gpu, gpu.initial())]
    assert sizes == [32, 64, 128, 256]


def test_what_the_user_has_set_is_not_tried_otherwise() -> None:
    fixed = {"engine": "onnxruntime", "precision": "fp32", "streams": 1}
    narrow = room(4, fixed, window={"max_frames": 5}, limits={"decode_threads": 7})
    initial = narrow.initial()
    stages = (torch_candidates, other_engines, thread_splits, values_of("window.max_frames"), decoder_counts)
    tried = [each for candidates in stages for each in candidates(narrow, initial)]

    names = ("model.engine", "model.precision", "model.streams", "window.max_frames", "limits.decode_threads")
    assert {tuple(each[name] for name in names) for each in tried} == {("onnxruntime", "fp32", 1, 5, 7)}


def test_decoders_are_tried_where_the_model_leaves_a_core_to_them() -> None:
    cpu = room(4)
    counts = [each["limits.decode_threads"] for each in decoder_counts(cpu, {"model.streams": 2})]
    assert counts == [None, 3, 2]
    assert list(decoder_counts(cpu, {"model.streams": 4})) == []


def test_more_streams_than_cores_are_the_users_own() -> None:
    assert list(thread_splits(room(2, {"streams": 8}), {"model.engine": "eager"})) == []


def test_what_chooses_by_itself_is_no_candidate() -> None:
    free = Room.of(groups({"profile": "auto"}), cores=2)

    assert all("auto" not in values for values in free.values.values())


def test_what_is_simple_comes_first() -> None:
    both = room(2, {"precision": "fp32"})
    usual = dict(both.initial())
    others = [
        usual | {"window.max_frames": 16},
        usual | {"model.engine": "openvino"},
        usual | {"model.preparation": "reduced"},
        usual | {"model.preparation": "reduced", "model.engine": "openvino"},
    ]

    in_order: list[Choice] = [{}, usual, *others]
    shuffled = [in_order[number] for number in (3, 5, 0, 4, 1, 2)]
    assert sorted(shuffled, key=lambda each: complexity(both, each)) == in_order


# What is chosen.


@dataclass
class Quiet:
    """A machine without noise, whose rates follow from the choice; one that is refused does not run."""

    rate: Callable[[Choice], float]
    why_not: Callable[[Choice], str | None] = lambda _: None
    runs: list[Choice] = field(default_factory=list)

    def judge(self, choice: Choice, *, thorough: bool) -> Judged:  # noqa: ARG002 - it knows
        reason = self.why_not(choice)
        return Judged(None if "refused" in (reason or "") else Agreement(1.0, 0.0), reason)

    def run(self, stage: Stage, choice: Choice) -> Run:  # noqa: ARG002 - as fast alone
        self.runs.append(choice)
        return Run(self.rate(choice), 0.1)


def chosen_on(machine: Quiet, among: Room | None = None) -> Found:
    return search(among or room(), machine, seconds=10.0)


def by_engine(choice: Choice) -> float:
    """Return rates of a machine that likes OpenVINO, one stream, one decoder, and batches of 16."""
    engines = {"eager": 10.0, "compile": 12.0, "onnxruntime": 15.0, "openvino": 20.0}
    rate = engines[choice.get("model.engine", "eager")]
    rate *= 1.2 if choice.get("window.max_frames") == 16 else 1.0
    rate *= 0.5 if choice.get("model.streams", 1) > 1 else 1.0
    return rate * (1.3 if choice.get("limits.decode_threads") == 1 else 1.0)


def test_the_fastest_of_every_stage_is_found() -> None:
    found = chosen_on(Quiet(by_engine))

    assert found.settings["model.engine"] == "openvino"
    assert found.settings["window.max_frames"] == 16
    assert found.settings["limits.decode_threads"] == 1
    assert found.frames_per_second == pytest.approx(20 * 1.2 * 1.3)
    assert found.untuned == pytest.approx(10.0)


def test_what_does_not_agree_is_not_chosen_however_fast() -> None:
    def why_not(choice: Choice) -> str | None:
        return "differs" if choice.get("model.engine") == "openvino" else None

    found = chosen_on(Quiet(by_engine, why_not))

    assert found.settings["model.engine"] == "onnxruntime"
    assert {each.why_not for each in found.tried} == {None, "differs"}
    assert all(each.frames_per_second for each in found.tried), "its speed says what agreement costs"


def test_engines_that_cannot_run_here_do_not_end_the_search() -> None:
    def why_not(choice: Choice) -> str | None:
        return "refused" if choice.get("model.engine", "eager") != "eager" else None

    machine = Quiet(by_engine, why_not)
    found = chosen_on(machine)

    assert found.settings["model.engine"] == "eager"
    assert [each.frames_per_second for each in found.tried if each.why_not] == [None] * 9
    assert all(why_not(each) is None for each in machine.runs)


def test_if_the_settings_as_they_come_do_not_run_the_others_are_compared_without_them() -> None:
    def why_not(choice: Choice) -> str | None:
        return "refused" if choice.get("model.engine", "eager") == "eager" else None

    found = chosen_on(Quiet(by_engine, why_not))

    assert found.settings["model.engine"] == "openvino"
    assert found.untuned is None


def test_the_second_best_engine_can_win_once_the_threads_are_shared() -> None:
    def rate(choice: Choice) -> float:
        at_its_best = (choice.get("model.engine"), choice.get("model.streams")) == ("onnxruntime", 1)
        return 40.0 if at_its_best else by_engine(choice)

    found = chosen_on(Quiet(rate), room(2, {"precision": "fp32"}))

    assert (found.settings["model.engine"], found.settings["model.streams"]) == ("onnxruntime", 1)


def test_nothing_is_set_when_nothing_is_faster() -> None:
    found = chosen_on(Quiet(lambda _: 10.0))

    assert found.settings == {}
    assert (found.frames_per_second, found.untuned) == (10.0, 10.0)
    assert found.tried[-1].note == "as fast as the fastest within 2%, and less simple"


def test_when_nothing_agrees_it_says_what_was_in_the_way() -> None:
    with pytest.raises(SettingsError) as caught:
        chosen_on(Quiet(by_engine, lambda _: "differs by 0.3"))

    assert "no candidate agrees with the reference" in caught.value.faults[0]
    assert "torch: differs by 0.3" in caught.value.faults


@pytest.mark.parametrize(("gain", "engine"), [(EQUAL - 0.001, None), (EQUAL + 0.001, "eager")])
def test_a_small_gain_is_not_worth_a_profile(gain: float, engine: str | None) -> None:
    only = room(2, {"engine": "eager", "precision": "fp32"})
    found = chosen_on(Quiet(lambda choice: 10.0 * gain if choice else 10.0), only)

    assert found.settings.get("model.engine") == engine


def test_of_candidates_as_fast_as_the_fastest_the_simplest_is_chosen() -> None:
    def rate(choice: Choice) -> float:
        return 10.0 + (5.0 if choice else 0.0) + (0.2 if choice.get("model.preparation") == "reduced" else 0.0)

    only = {"engine": "eager", "precision": "fp32", "memory_format": "channels_last", "threads": 2, "streams": 2}
    found = chosen_on(Quiet(rate), room(2, only, window={"max_frames": 32}))

    assert found.settings["model.preparation"] == "exact"
    assert found.frames_per_second == pytest.approx(15.0, rel=0.001)
    (note,) = (each.note for each in found.tried if each.stage == "final" and each.settings == found.settings)
    assert note == "the simplest of those within 2% of the fastest"


EIGHT = [{"window.max_frames": number} for number in range(1, 9)]


def halved(rate: Callable[[Choice], float], *, seconds: float) -> tuple[Sequence[int], Choice]:
    """Return how many pairs each of eight candidates got, and the best."""
    results, (best,) = halve(Quiet(rate), Stage("batch", lambda *_: (), keep=1), EIGHT, seconds=seconds)
    return [each.pairs for each in results], best


def varying() -> Callable[[Choice], float]:
    """Return rates that grow with the batch by little, and vary by more."""
    factors = cycle([1.0, 1.1, 0.9])
    return lambda choice: (100.0 + choice["window.max_frames"]) * next(factors)


def test_candidates_that_do_not_vary_get_few_pairs() -> None:
    assert halved(lambda choice: 100.0 + choice["window.max_frames"], seconds=10.0) == ([0, *[4] * 7], EIGHT[-1])


def test_the_better_half_of_many_that_vary_is_measured_for_longer() -> None:
    pairs, best = halved(varying(), seconds=10.0)

    assert best in EIGHT[4:]
    assert sorted(pairs) == [0, 12, 12, 12, 24, 24, 48, 48]


def test_slow_candidates_that_vary_get_fewer_pairs() -> None:
    assert sorted(halved(varying(), seconds=0.1)[0]) == [0, 2, 2, 2, 5, 5, 12, 12]


# What comes into force.

PROFILE = {
    "model.engine": "openvino",
    "model.precision": "fp32",
    "model.streams": 2,
    "model.threads": 2,
    "window.max_frames": 16,
    "limits.decode_threads": 3,
}


def test_a_profile_wins_over_the_defaults() -> None:
    assert not_overridden(groups(), PROFILE) == PROFILE


def test_what_the_user_has_set_wins_over_a_profile() -> None:
    ours = groups({"device": "cpu"}, window={"max_frames": 64}, limits={"memory": 2**30})

    assert not_overridden(ours, PROFILE) == {
        name: value for name, value in PROFILE.items() if name != "window.max_frames"
    }


def test_an_engine_set_otherwise_takes_nothing_that_was_measured_with_another() -> None:
    taken = not_overridden(groups({"engine": "eager"}), PROFILE)

    assert taken == {"window.max_frames": 16, "limits.decode_threads": 3}


def test_what_the_user_has_set_to_the_same_contradicts_nothing() -> None:
    taken = not_overridden(groups({"engine": "openvino"}), PROFILE)

    assert taken == {name: value for name, value in PROFILE.items() if name != "model.engine"}


def test_settings_are_checked_as_if_the_user_had_set_them() -> None:
    with pytest.raises(ValueError, match="max_frames"):
        groups().updated_by({"window.max_frames": 0})
    with pytest.raises(ValueError, match="no_such"):
        groups().updated_by({"model.no_such": 1})


def test_settings_go_over_those_that_are_there() -> None:
    set_over = groups({"top_k": 3}, limits={"memory": 2**30}).updated_by(PROFILE)

    assert (set_over.model.top_k, set_over.model.engine, set_over.limits.memory) == (3, "openvino", 2**30)
    assert (set_over.window.max_frames, set_over.limits.decode_threads) == (16, 3)
