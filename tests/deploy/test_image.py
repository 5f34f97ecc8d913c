"""Check the Dockerfile against the project; building the image would need Docker and 6 GB."""

import fnmatch
import json
import re
import tomllib

from tests.support.deployment import ROOT, dockerfile, services, stages, understood
from worker.settings import NOT_SETTINGS, ModelGroup, Ops, describe


def one(name: str) -> str:
    (found,) = (arguments for instruction, arguments in dockerfile() if instruction == name)
    return found


def ignored(path: str) -> bool:
    """Tell whether .dockerignore excludes a path: the last matching line decides."""
    answer = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if pattern and not pattern.startswith("#") and fnmatch.fnmatch(path, pattern):
            answer = not line.startswith("!")
    return answer


def test_copied_files_exist_and_are_not_ignored() -> None:
    copied = [
        source.removeprefix("./")
        for stage in stages()
        for name, arguments in stage
        if name == "COPY" and not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    ]
    assert copied
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert [source for source in copied if ignored(source)] == []
    assert ignored(".git")
    assert ignored("tests")


def test_base_images_are_pinned_to_the_python_of_the_project() -> None:
    bases = {arguments.split()[0] for stage in stages() for name, arguments in stage if name == "FROM"}
    (base,) = bases
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base)


def test_the_hash_of_every_installed_file_is_checked() -> None:
    steps = [arguments for stage in stages() for name, arguments in stage if name == "RUN" and "pip " in arguments]
    assert len(steps) == 4
    for step in steps:
        assert ("--require-hashes" in step) or ("--no-index" in step), step


def test_it_has_a_second_engine_for_tuning() -> None:
    (extras,) = (arguments for stage in stages() for name, arguments in stage if name == "ARG")
    name, _, chosen = extras.partition("=")
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert (name, chosen in known) == ("EXTRAS", True)
    assert ModelGroup(path=ROOT, engine=chosen).engine == chosen
    (built,) = (arguments for stage in stages() for _, arguments in stage if arguments.startswith("pip wheel"))
    assert '".[${EXTRAS}]"' in built


def test_it_runs_as_an_unprivileged_user() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", one("USER"))


def test_its_variables_are_settings_with_valid_values() -> None:
    variables = dict(pair.split("=", 1) for pair in one("ENV").split())
    ours = {name: value for name, value in variables.items() if name.startswith("VISION_WORKER_")}
    known = {variable for _, variable, _, _ in describe()}
    assert ours.keys() <= known | NOT_SETTINGS
    assert ours["VISION_WORKER_CACHE"] in {mount.partition(":")[2] for mount in services()["worker"]["volumes"]}


def test_it_runs_the_worker() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    (entry,) = json.loads(one("ENTRYPOINT"))
    assert entry in scripts
    understood(json.loads(one("CMD")), {})
    assert int(one("EXPOSE")) == Ops().port
