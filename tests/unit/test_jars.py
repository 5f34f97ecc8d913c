import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from worker.local import jars
from worker.local.jars import Jar, LocalExtraMissing, fetch_jars, jar_folder, locked_jars
from worker.models.packages import FetchFailed
from worker.models.store import sha256_of_bytes

CONTENT = b"classes"
JAR = Jar("org.example", "thing", "1.0", sha256_of_bytes(CONTENT))


@dataclass
class Downloads:
    """Stands for jgo: every jar is the same file."""

    file: Path

    def project(self, _group: str, _artifact: str) -> Self:
        return self

    def at_version(self, _version: str) -> Self:
        return self

    def artifact(self) -> Self:
        return self

    def resolve(self) -> Path:
        return self.file


@pytest.fixture
def one_jar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lock one small jar and nothing else; return where the cache keeps it."""
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({str(JAR): JAR.sha256}))
    monkeypatch.setattr(jars, "LOCK_FILE", lock)
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path / "cache"))
    jar_folder().mkdir(parents=True)
    return jar_folder() / "thing-1.0.jar"


def test_the_lock_names_one_kafka_and_no_file_twice() -> None:
    locked = locked_jars()

    assert {jar.version for jar in locked if jar.group == "org.apache.kafka"} == {jars.KAFKA_VERSION}
    assert len({jar.file_name for jar in locked}) == len(locked)
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in locked)


def test_the_lock_holds_what_is_asked_for() -> None:
    assert {":".join(root) for root in jars._ROOTS} <= {str(jar) for jar in locked_jars()}


def test_a_complete_cache_is_used_as_it_is(one_jar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_jar.write_bytes(CONTENT)
    monkeypatch.setitem(sys.modules, "jgo.maven", None)  # nothing is resolved, not even by a broken jgo

    assert fetch_jars() == (one_jar,)


@pytest.mark.parametrize("kept", [None, b"damaged"], ids=["missing", "damaged"])
def test_what_the_cache_lacks_is_downloaded(
    one_jar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bytes | None
) -> None:
    if kept is not None:
        one_jar.write_bytes(kept)
    (tmp_path / "download").write_bytes(CONTENT)
    monkeypatch.setattr(jars, "_maven", lambda _: Downloads(tmp_path / "download"))

    assert fetch_jars() == (one_jar,)
    assert one_jar.read_bytes() == CONTENT
    assert list(one_jar.parent.iterdir()) == [one_jar]


def test_another_content_than_the_locked_one_is_refused(
    one_jar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "download").write_bytes(b"something else")
    monkeypatch.setattr(jars, "_maven", lambda _: Downloads(tmp_path / "download"))

    with pytest.raises(FetchFailed, match=r"org\.example:thing:1\.0 is not the locked file"):
        fetch_jars()

    assert not one_jar.exists()


@pytest.mark.usefixtures("one_jar")
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jgo.maven", None)

    with pytest.raises(LocalExtraMissing, match=r"pip install 'vision-worker\[local\]'"):
        fetch_jars()
