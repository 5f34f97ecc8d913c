"""What a demo has to show in the middle of its run; as a program, it shows this in the terminal that it runs in."""

from dataclasses import replace
from functools import cache

from rich.console import Console

from tests.support.frames import MODEL, a_frame, a_prediction
from worker import wire
from worker.domain.records import TopicPartition
from worker.domain.results import Classification, ScoredClass, Verdict
from worker.domain.tallies import Tally, TallyKey
from worker.domain.times import EventMillis
from worker.local.display import shown_on
from worker.local.screen import Member, Moment, Scene, State

LABELS = {
    "chelsea": "Egyptian cat",
    "coffee": "espresso",
    "motorcycle": "moped",
    "a-camera-of-the-north-gate": "tripod",
}
CLASSES = {
    "chelsea": "Egyptian cat",
    "coffee": "red-breasted merganser, Mergus serrator",
    "motorcycle": "disk brake",
    "a-camera-of-the-north-gate": "喫茶店",  # two columns each
}
SENT = 244
EVENT = "worker-2 was killed with SIGKILL at 0:12. Its partitions 2, 3 go to worker-1 after 6 s of silence."


def a_prediction_of(camera: str, number: int, *, name: str = "cat", partition: int = 0) -> wire.PredictionMessage:
    prediction = a_prediction(a_frame(number, camera=camera, partition=partition), Verdict(top1=True, top5=True))
    named = replace(prediction, result=Classification((ScoredClass(3, name, 0.754),), (3, 1)))
    return wire.decode_prediction(
        wire.render_prediction("predictions", named, published_at=EventMillis(2_000)).value or b""
    )


def a_count_of(camera: str, seen: int, correct: int) -> wire.AccuracyMessage:
    tally = Tally(TallyKey(TopicPartition("frames", 0), camera, MODEL), EventMillis(0), seen, seen, correct, correct, 9)
    return wire.decode_accuracy(wire.render_accuracy("accuracy", tally, published_at=EventMillis(0)).value or b"")


@cache
def a_scene(predicted: int = 240) -> Scene:
    """Return cameras that have sent `SENT` frames each; `predicted` frames of each have their prediction.

    Nobody changes it: it is the same at every call.
    """
    scene = Scene(LABELS, "mobilenet_v2", "transnetv2")
    for partition, camera in enumerate(LABELS):
        scene.board.sent({camera: SENT})
        for number in range(predicted):
            message = a_prediction_of(camera, number, name=CLASSES[camera], partition=partition)
            scene.board.predicted(message, now=60 - (predicted - number) / 20, arrived_at=1_100 + 5 * number)
        scene.board.counted(a_count_of(camera, predicted, predicted - 7))
    scene.video.sent = 12_500
    scene.video.values.update(range(12_400))
    scene.video.found.update(dict.fromkeys(range(12_000, 12_040), 0.97))
    return scene


def a_moment(*, killed: bool = False, sending: bool = True) -> Moment:
    members = (Member("worker-1", State.RUNS, (0, 1)), Member("worker-2", State.KILLED, (2, 3)))
    return Moment(
        now=60.0,
        elapsed=60.0,
        planned=90.0,
        sending=sending,
        members=members if killed else (),
        events=(EVENT,) if killed else (),
    )


if __name__ == "__main__":
    with shown_on(Console(highlight=False)) as show:
        show(a_scene(), a_moment(killed=True), final=True)
