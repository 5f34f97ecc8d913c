"""Mistakes of people at the command line: each is told in one line that ends in what to do, without a traceback."""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.commands import WITHOUT_LANGUAGE, command, environment, ran

pytestmark = pytest.mark.slow  # each test starts programs


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("words", "variables", "status", "says"),
    [
        (["tail", "predictions"], {}, 2, "name your brokers with --bootstrap-servers, in the file of --config or as"),
        (["produce", "."], {}, 2, "or start a Kafka on this machine: vision-worker kafka up"),
        (["deadletters", "list"], {}, 2, "or start a Kafka on this machine: vision-worker kafka up"),
        (["export", "OUT", "--from", "2h"], {}, 2, "or start a Kafka on this machine: vision-worker kafka up"),
        (["topics", "plan"], {}, 2, "or start a Kafka on this machine: vision-worker kafka up"),
        (["run"], {"VISION_WORKER_MODEL__NAME": "x"}, 2, "or start a Kafka on this machine: vision-worker kafka up"),
        (["tail", "predictions", "-b", "http://broker"], {}, 2, "'http://broker' is no address; write host:port"),
        (
            ["tail", "predictions", "-c", "nowhere.yaml"],
            {},
            2,
            "--config nowhere.yaml: No such file or directory; name",
        ),
        (["tail", "predictions", "-c", "."], {}, 2, "--config .: Is a directory; name a YAML file"),
        (["tail", "predictions", "-X", "securty.protocol=SSL", "-b", "b:1"], {}, 2, "did you mean security.protocol?"),
        (["tail", "skipped", "-b", "b:1"], {}, 2, "topics.skipped is not set, so skipped frames are only counted; set"),
        (
            ["tail", "predictions"],
            {"VISION_WORKER_KAFKA_OPTIONS": "x"},
            2,
            "did you mean VISION_WORKER_KAFKA__OPTIONS?",
        ),
        (["tale"], {}, 2, "Did you mean 'tail'?"),
    ],
)
def test_a_mistake_is_one_line_that_ends_in_what_to_do(
    cache: Path, words: list[str], variables: Mapping[str, str], status: int, says: str
) -> None:
    told = ran(*words, cache=cache, variables=variables)

    assert told.returncode == status
    assert says in told.stderr
    assert "Traceback" not in told.stderr
    assert told.stdout == ""


@pytest.mark.parametrize("words", [["kafka", "up"], ["models", "fetch", "mobilenet_v2"]])
@pytest.mark.parametrize("inside", ["", "below"])
def test_a_cache_that_is_a_file_is_one_line_with_folder_and_variable(
    tmp_path: Path, words: list[str], inside: str
) -> None:
    (tmp_path / "file").write_text("no folder")
    cache = tmp_path / "file" / inside
    told = ran(*words, cache=cache)

    assert told.returncode == 1
    assert told.stderr == (
        f"error the cache folder {cache} cannot be used: Not a directory; set VISION_WORKER_CACHE to another folder\n"
    )


def test_a_full_disk_is_one_line(cache: Path) -> None:
    with Path("/dev/full").open("w") as full:
        told = subprocess.run(
            command("settings"), env=environment(cache), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert told.returncode == 1
    assert told.stderr == "error No space left on device; free space on this disk, or name a path on another one\n"


def test_a_reader_that_has_seen_enough_is_no_error(cache: Path) -> None:
    process = subprocess.Popen(
        command("settings"), env=environment(cache), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()

    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait()


def test_names_that_a_terminal_cannot_show_are_escaped(cache: Path) -> None:
    told = ran("check", "--config", "Straße-日本.yaml", cache=cache, variables=WITHOUT_LANGUAGE)

    assert told.returncode == 2
    assert "--config Stra\\udcc3\\udc9fe" in told.stdout
    assert told.stderr == ""


def test_tables_are_drawn_with_what_a_terminal_has(cache: Path) -> None:
    for words in (["--help"], ["models", "list"], ["tail", "nothing"]):
        told = ran(*words, cache=cache, variables=WITHOUT_LANGUAGE)
        assert (told.stdout + told.stderr).isascii()
        assert "Traceback" not in told.stderr


# Ctrl-C.

INTERRUPTED = 130
ENTERED = "worker.cli.errors"
"""The import of all commands, which takes most of the first second."""


def _interrupted(words: list[str], cache: Path, first: str) -> subprocess.CompletedProcess[str]:
    """Send SIGINT to a command while it imports a module."""
    process = subprocess.Popen(
        [command()[0], "-X", "importtime", *command(*words)[1:]],
        env=environment(cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 one thread
    )
    assert process.stderr
    said = []
    for line in process.stderr:
        said.append(line)
        if line.rpartition("|")[2].strip() == first:
            process.send_signal(signal.SIGINT)
            break
    out, rest = process.communicate(timeout=120)
    told = [line for line in [*said, *rest.splitlines(keepends=True)] if not line.startswith("import time:")]
    return subprocess.CompletedProcess(process.args, process.returncode, out, "".join(told))


@pytest.mark.parametrize("first", ["typer", "worker.settings", "worker.app.dead_letters"])
def test_ctrl_c_while_commands_are_imported_leaves_no_traceback(cache: Path, first: str) -> None:
    told = _interrupted(["settings"], cache, first)

    assert (told.returncode, told.stdout, told.stderr) == (INTERRUPTED, "", "")


@pytest.mark.parametrize("first", ["numpy", "torch._C", "torch", "torchvision"])
def test_ctrl_c_while_torch_is_imported_leaves_no_traceback(cache: Path, tmp_path: Path, first: str) -> None:
    told = _interrupted(["models", "fetch", "resnet18"], cache, first)

    assert (told.returncode, told.stdout, told.stderr) == (INTERRUPTED, "", "")
    assert not list(tmp_path.rglob("*resnet18*"))


def test_a_background_job_of_a_shell_ignores_ctrl_c(cache: Path) -> None:
    process = subprocess.Popen(
        command("settings"),
        env=environment(cache),
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # noqa: PLW1509 one thread
    )
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)

    assert process.returncode == 0
    assert out.startswith("| setting |")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become a user without a home")
def test_a_user_without_a_home_is_told_the_variable(tmp_path: Path) -> None:
    program = (
        "import os; from worker.models.store import cache_folder, FolderUnusable\n"
        "os.setuid(54321)\n"
        "try: cache_folder()\n"
        "except FolderUnusable as error: print(error)\n"
    )
    kept = environment(tmp_path)
    for name in ("HOME", "XDG_CACHE_HOME", "VISION_WORKER_CACHE"):
        kept.pop(name, None)
    told = subprocess.run(
        [command()[0], "-c", program], env=kept, capture_output=True, text=True, check=False, timeout=120
    )

    assert told.stderr == ""
    assert told.stdout.startswith("the folder of the cache is not known: ")
    assert told.stdout.endswith("; set VISION_WORKER_CACHE to a folder that can be written to\n")
