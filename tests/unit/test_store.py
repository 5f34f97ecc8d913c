import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from worker.models.store import (
    FolderUnusable,
    atomic_file,
    cache_folder,
    make_file_once,
    make_folder_once,
    sha256_of_bytes,
    sha256_of_file,
    write_atomically,
)


def test_the_cache_is_the_users_and_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("VISION_WORKER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "vision-worker"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "vision-worker"


def test_a_file_and_its_bytes_have_the_hash_that_sha256sum_prints(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"weights")
    (said, _) = subprocess.run(["sha256sum", file], check=True, capture_output=True, text=True).stdout.split()  # noqa: S607

    assert sha256_of_file(file) == sha256_of_bytes(b"weights") == said


# Files.


def test_a_file_takes_the_place_of_the_one_before_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "file"
    write_atomically(file, b"old")
    with atomic_file(file) as unfinished:
        unfinished.write_bytes(b"new")
        assert file.read_bytes() == b"old"

    assert file.read_bytes() == b"new"
    assert list(file.parent.iterdir()) == [file]


def test_an_error_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_atomically(file, b"old")

    def fail() -> None:
        with atomic_file(file) as unfinished:
            unfinished.write_bytes(b"ha")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 our own
        fail()
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_of_two_writers_of_a_file_the_last_one_wins(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with atomic_file(file) as first, atomic_file(file) as second:
        first.write_bytes(b"first")
        second.write_bytes(b"second")

    assert file.read_bytes() == b"first"


def test_a_file_is_readable_by_those_who_can_read_its_writers_other_files(tmp_path: Path) -> None:
    file, ordinary = tmp_path / "file", tmp_path / "ordinary"
    write_atomically(file, b"")
    ordinary.touch()

    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_a_file_is_made_once(tmp_path: Path) -> None:
    file = tmp_path / "file"

    assert make_file_once(file, lambda unfinished: unfinished.touch()) == file
    assert make_file_once(file, lambda _: pytest.fail("it is there")) == file


# Folders.


def fill(folder: Path) -> None:
    (folder / "weights").write_bytes(b"weights")
    (folder / "manifest").write_bytes(b"manifest")


def test_a_folder_is_made_once_and_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "model"

    def look_and_fill(unfinished: Path) -> None:
        fill(unfinished)
        assert unfinished.name == folder.name
        assert not folder.exists()

    assert make_folder_once(folder, look_and_fill, holds="manifest") == folder
    assert make_folder_once(folder, lambda _: pytest.fail("it is there"), holds="manifest") == folder
    assert sorted(file.name for file in folder.iterdir()) == ["manifest", "weights"]
    assert list(folder.parent.iterdir()) == [folder]


def test_of_two_writers_of_a_folder_the_first_one_wins(tmp_path: Path) -> None:
    folder = tmp_path / "model"

    def overtaken(unfinished: Path) -> None:
        make_folder_once(folder, fill, holds="manifest")
        (unfinished / "manifest").write_bytes(b"second")

    assert make_folder_once(folder, overtaken, holds="manifest") == folder
    assert (folder / "manifest").read_bytes() == b"manifest"
    assert list(tmp_path.iterdir()) == [folder]


def test_another_folder_of_the_name_is_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "notes").touch()

    with pytest.raises(FolderUnusable, match="is there without manifest: delete it"):
        make_folder_once(folder, fill, holds="manifest")
    assert [file.name for file in folder.iterdir()] == ["notes"]


# A process that is killed.

KILLED = """
import os, signal, sys
from pathlib import Path
from worker.models.store import atomic_file, make_folder_once

def write_half(unfinished):
    unfinished.write_bytes(b"ha")
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "file":
    with atomic_file(Path(sys.argv[2])) as unfinished:
        write_half(unfinished)
else:
    make_folder_once(Path(sys.argv[2]), lambda folder: write_half(folder / "manifest"), holds="manifest")
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_process_that_is_killed_leaves_nothing_under_the_name_and_is_in_nobodys_way(
    tmp_path: Path, kind: str
) -> None:
    target = tmp_path / "target"
    ran = subprocess.run([sys.executable, "-c", KILLED, kind, str(target)], check=False)

    assert ran.returncode == -signal.SIGKILL
    assert not target.exists()
    if kind == "file":
        write_atomically(target, b"whole")
        assert target.read_bytes() == b"whole"
    else:
        make_folder_once(target, fill, holds="manifest")
        assert (target / "manifest").read_bytes() == b"manifest"
