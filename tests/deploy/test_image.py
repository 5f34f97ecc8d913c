"""Check the Dockerfile against the project; building the image would need Docker and 6 GB."""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from tests.support.deployment import DEPLOY, ROOT, dockerfile, services, stages, understood
from tests.support.pictures import ENCODERS, scene
from worker.models.ready import ready_model
from worker.settings import NOT_SETTINGS, ModelGroup, Ops, describe

VARIABLE = re.compile(r"\$\{(\w+)\}")


def one(name: str) -> str:
    (found,) = (arguments for instruction, arguments in dockerfile() if instruction == name)
    return found


def arguments() -> dict[str, str]:
    """Return the build arguments of all stages with their defaults; empty where there is none."""
    given = [text.partition("=") for stage in stages() for name, text in stage if name == "ARG"]
    return {name: default for name, _, default in given}


def ignored(path: str) -> bool:
    """Tell whether .dockerignore excludes a path: the last matching line decides."""
    answer = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if pattern and not pattern.startswith("#") and fnmatch.fnmatch(path, pattern):
            answer = not line.startswith("!")
    return answer


def test_copied_files_exist_and_are_not_ignored() -> None:
    defaults = arguments()
    copied = [
        VARIABLE.sub(lambda found: defaults[found[1]], source.removeprefix("./"))
        for stage in stages()
        for name, told in stage
        if name == "COPY" and not told.startswith("--from")
        for source in told.split()[:-1]
    ]
    copied += [
        source
        for stage in stages()
        for _, told in stage
        for source in re.findall(r"--mount=type=bind,source=([^,]+),", told)
    ]
    assert "deploy/leave_out_gpu.py" in copied
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
    chosen = arguments()["EXTRAS"]
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert chosen in known
    assert ModelGroup(path=ROOT, engine=chosen).engine == chosen
    (built,) = (arguments for stage in stages() for _, arguments in stage if arguments.startswith("pip wheel"))
    assert '".[${EXTRAS}]"' in built


def test_the_image_without_a_gpu_is_asked_for() -> None:
    assert arguments() | {"EXTRAS": ""} == {"LOCK": "requirements.lock", "TORCH_INDEX": "", "EXTRAS": "", "CPU": ""}
    (installed,) = (told for _, told in stages()[-1] if told.endswith("fi"))
    assert installed.index("pip install") < installed.index('if [ -n "$CPU" ]; then python /leave_out_gpu.py')
    for named in ("requirements.cpu.lock", "requirements.lock"):
        assert not ignored(named)


@pytest.mark.slow
def test_a_worker_runs_where_what_only_a_gpu_needs_is_deleted(tmp_path: Path) -> None:
    site = Path(torch.__file__).parents[1]
    if not (site / "nvidia").is_dir():
        pytest.skip("torch is not built for CUDA here, so there is nothing to delete")
    copy = tmp_path / "site"
    try:
        shutil.copytree(site, copy, copy_function=os.link, symlinks=True)
    except OSError as error:
        pytest.skip(f"the environment cannot be copied by hard links: {error}")
    told = subprocess.run(
        [sys.executable, DEPLOY / "leave_out_gpu.py", copy], check=True, capture_output=True, text=True
    ).stdout
    assert int(told.split()[0]) > 2000, told
    assert not (copy / "triton").exists()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "one.jpg").write_bytes(ENCODERS["jpeg 4:4:4"](scene(300, 260)))
    # -S leaves out the environment of the tests: only the copy and the project are found.
    ran = subprocess.run(
        [sys.executable, "-S", "-m", "worker", "replay", tmp_path / "pictures", "--model", ready_model("mobilenet_v2")],
        env={**os.environ, "PYTHONPATH": f"{copy}{os.pathsep}{ROOT}"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert '"model":{"name":"mobilenet_v2"' in ran.stdout


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
