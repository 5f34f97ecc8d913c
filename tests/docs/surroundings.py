"""What a reader of the docs has: a Kafka, pictures, a video, and a model. Cameras send to her topic of frames."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from tests.support.cameras import pictures
from tests.support.workers import model_folder, wait_until
from worker import wire
from worker.adapters.clocks import wall_clock
from worker.domain.frames import CapturedFrame
from worker.local.samples import PHOTOGRAPHS, fetch_video
from worker.models.store import cache_folder
from worker.settings import Topics

_KEPT: Final = ("models", "packages", "engines")
_PICTURES: Final = 4
_FRAMES_TOPIC: Final = Topics().frames
_FRAMES: Final = 20
"""As many good frames as bad ones are sent."""


def make_cache(folder: Path) -> Path:
    """Return a cache folder of the reader's own: with this user's downloads, without this user's Kafka and profiles."""
    folder.mkdir()
    for kept in [*(cache_folder() / name for name in _KEPT), *cache_folder().glob("kafka-*")]:
        kept.mkdir(parents=True, exist_ok=True)
        (folder / kept.name).symlink_to(kept)
    return folder


def fill_folder(folder: Path, brokers: str) -> None:
    """Write what pages take for granted. A name in capitals, such as FOLDER, stands for the reader's own file."""
    for camera, photograph in enumerate(PHOTOGRAPHS[:2]):
        shown = folder / "pictures" / photograph.label
        shown.mkdir(parents=True)
        for number, picture in enumerate(pictures(camera)[:_PICTURES]):
            (shown / f"{number}.jpg").write_bytes(picture)
    for camera, name in enumerate(("cat", "dog")):
        (folder / "pictures" / f"{name}.jpg").write_bytes(pictures(camera)[0])
    for name in ("street.mp4", "clip.mp4", "VIDEO"):
        (folder / name).symlink_to(fetch_video("carphone"))
    for name in ("FOLDER", "PICTURES", "OTHER_PICTURES", "FOLDER_OR_VIDEO"):
        (folder / name).symlink_to("pictures")
    for name in ("MODEL", "MODEL_FOLDER"):
        shutil.copytree(model_folder(), folder / name)  # not linked: a page may write to it
    shutil.copy(next((folder / "MODEL").glob("*.pth")), folder / "best.pth")
    shutil.copy(folder / "MODEL" / "labels.txt", folder / "labels.txt")
    settings = {"kafka": {"bootstrap_servers": brokers}, "model": {"name": "mobilenet_v2"}}
    (folder / "worker.yaml").write_text(yaml.safe_dump(settings))


def send_frames(brokers: str) -> int:
    """Send what the reader's cameras send meanwhile, and return how many frames that are."""
    producer = Producer({"bootstrap.servers": brokers})
    for number in range(_FRAMES):
        for frame in (_good(number), _bad(number)):
            sent = wire.render_frame(_FRAMES_TOPIC, frame)
            producer.produce(sent.topic, sent.value, sent.key, headers=list(sent.headers))
    assert producer.flush(30) == 0
    return 2 * _FRAMES


def empty(brokers: str) -> None:
    """Delete all topics and groups, so that the next page begins as its reader does."""
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 0})
    if topics := list(_topics(admin)):
        for deleted in admin.delete_topics(topics).values():
            deleted.result(30)
    groups = [each.group_id for each in admin.list_consumer_groups().result(30).valid]
    if groups:
        for deleted in admin.delete_consumer_groups(groups).values():
            deleted.result(30)
    wait_until(lambda: not list(_topics(admin)), "the topics are gone", every=0.1)


def environment(cache: Path) -> dict[str, str]:
    """Return the variables that a reader's terminal has."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "VISION_WORKER_CACHE": str(cache), "COLUMNS": "80"}


def _topics(admin: AdminClient) -> Iterator[str]:
    return (name for name in admin.list_topics(timeout=30).topics if not name.startswith("__"))


def _good(number: int) -> CapturedFrame:
    photograph = PHOTOGRAPHS[number % 2]
    data = pictures(number % 2)[number % _PICTURES]
    return CapturedFrame(photograph.name, data, wall_clock(), "image/jpeg", label=photograph.label)


def _bad(number: int) -> CapturedFrame:
    picture = pictures(0)[number % _PICTURES]
    return CapturedFrame("broken", picture[: len(picture) // 2], wall_clock(), "image/jpeg")
