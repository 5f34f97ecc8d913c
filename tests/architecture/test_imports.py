"""Who may import whom: the table of the design, held against every import in the package."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "worker"
MODULES = sorted(
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for file in PACKAGE.rglob("*.py")
)

ALLOWED_WITHIN: dict[str, tuple[str, ...]] = {
    "worker.domain": ("worker.domain",),
    "worker.ports": ("worker.domain",),
    "worker.wire": ("worker.domain", "worker.wire"),
    "worker.deadletters": ("worker.domain", "worker.wire"),
    "worker.manifest": ("worker.domain",),
    "worker.telemetry": ("worker.domain",),
    "worker.logs": (),
    "worker.watchdog": (),
    "worker.settings": ("worker.domain.errors", "worker.settings"),
    "worker.pipeline": ("worker.domain", "worker.ports", "worker.wire"),
    "worker.pace": (),
    "worker.threads": ("worker.domain", "worker.ports", "worker.pipeline"),
    "worker.lane": ("worker.domain", "worker.ports", "worker.pipeline", "worker.threads"),
    "worker.processor": (
        "worker.domain",
        "worker.ports",
        "worker.wire",
        "worker.pipeline",
        "worker.lane",
        "worker.pace",
        "worker.telemetry",
    ),
    "worker.adapters": ("worker.domain", "worker.wire"),
    "worker.classifier": ("worker.domain",),
    "worker.wiring": ("worker",),
    "worker.cluster": ("worker",),
    "worker.engines": ("worker",),
    "worker.preparation": ("worker",),
    "worker.local": ("worker.domain", "worker.wire", "worker.adapters", "worker.manifest", "worker.local"),
    "worker.tuning.groups": ("worker.settings",),
    "worker.tuning.candidates": ("worker.settings", "worker.tuning.groups"),
    "worker.tuning.search": ("worker.domain", "worker.tuning.candidates", "worker.tuning.groups"),
    "worker.tuning": ("worker",),
    "worker.cli": ("worker",),
    "worker.__main__": ("worker.cli", "worker.domain.errors", "worker.logs"),
    "worker": (),
}
"""The longest matching prefix of a module says which modules of ours it may import; `worker` itself always."""

LIBRARIES: dict[str, frozenset[str]] = {
    "worker.domain": frozenset({"numpy"}),
    "worker.ports": frozenset({"numpy"}),
    "worker.wire": frozenset({"msgspec"}),
    "worker.deadletters": frozenset({"msgspec"}),
    "worker.manifest": frozenset({"msgspec", "yaml"}),
    "worker.telemetry": frozenset({"prometheus_client", "structlog"}),
    "worker.logs": frozenset({"structlog"}),
    "worker.watchdog": frozenset({"structlog"}),
    "worker.settings": frozenset({"pydantic", "pydantic_core", "pydantic_settings", "yaml"}),
    "worker.pipeline": frozenset({"numpy"}),
    "worker.lane": frozenset({"numpy"}),
    "worker.threads": frozenset({"numpy"}),
    "worker.processor": frozenset(),
    "worker.classifier": frozenset({"numpy"}),
    "worker.adapters.allocator": frozenset(),
    "worker.adapters.folder": frozenset(),
    "worker.adapters.images": frozenset({"cv2", "numpy"}),
    "worker.adapters.kafka": frozenset({"confluent_kafka", "structlog"}),
    "worker.adapters.main_thread": frozenset(),
    "worker.adapters.memory": frozenset(),
    "worker.adapters.ops_http": frozenset({"prometheus_client"}),
    "worker.adapters.onnx_export": frozenset({"torch"}),
    "worker.adapters.onnx_quantiser": frozenset({"onnx", "onnxruntime", "numpy"}),
    "worker.adapters.onnxruntime_engine": frozenset({"onnxruntime", "numpy"}),
    "worker.adapters.openvino_engine": frozenset({"openvino", "numpy"}),
    "worker.adapters.streams": frozenset({"numpy"}),
    "worker.adapters.torch_engine": frozenset({"torch", "numpy"}),
    "worker.adapters.torch_files": frozenset({"torch", "torchvision"}),
    "worker.adapters.torch_graph": frozenset({"torch"}),
    "worker.adapters.resize": frozenset({"cv2", "numpy", "torch"}),
    "worker.adapters.torch_preparation": frozenset({"torch", "torchvision", "numpy"}),
    "worker.adapters.torchvision_weights": frozenset({"torch", "torchvision"}),
    "worker.adapters.video": frozenset({"cv2"}),
    "worker.adapters": frozenset(),
    "worker.tuning.groups": frozenset(),
    "worker.tuning.candidates": frozenset(),
    "worker.tuning.search": frozenset(),
}
"""Third-party libraries by the same rule; modules without an entry may use any."""

CLOCKLESS = (
    "worker.domain",
    "worker.pipeline",
    "worker.processor",
    "worker.wire",
    "worker.ports",
    "worker.telemetry",
    "worker.tuning.candidates",
    "worker.tuning.search",
)
CLOCKS = {"time", "datetime"}


def imports_of(module: str) -> Iterator[str]:
    path = PACKAGE.parent.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in MODULES else str(node.module) for name in names)


def rule_for(module: str, rules: dict[str, tuple[str, ...]] | dict[str, frozenset[str]]) -> str | None:
    return max((prefix for prefix in rules if within(module, prefix)), key=len, default=None)


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(f"{prefix}.")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_the_table_allows(module: str) -> None:
    rule = rule_for(module, ALLOWED_WITHIN)
    assert rule is not None
    own_package = module.rpartition(".")[0] if module.startswith("worker.adapters.kafka.") else module
    for name in set(imports_of(module)):
        if within(name, "worker"):
            allowed = name == "worker" or any(within(name, prefix) for prefix in ALLOWED_WITHIN[rule])
            assert allowed or within(name, own_package), f"{module} may not import {name}"
        elif name.partition(".")[0] not in sys.stdlib_module_names:
            libraries = rule_for(module, LIBRARIES)
            library = name.partition(".")[0]
            assert libraries is None or library in LIBRARIES[libraries], f"{module} may not use {library}"


@pytest.mark.parametrize("module", [m for m in MODULES if any(within(m, prefix) for prefix in CLOCKLESS)])
def test_nothing_below_the_composition_root_reads_a_clock(module: str) -> None:
    assert not CLOCKS & set(imports_of(module))


def test_only_the_command_line_and_tuning_import_the_composition_root() -> None:
    roots = {"worker.wiring", "worker.cluster", "worker.engines", "worker.preparation"}
    importers = {module for module in MODULES if roots & set(imports_of(module))} - roots

    assert importers
    assert all(within(module, "worker.cli") or within(module, "worker.tuning") for module in importers)


def test_the_domain_has_no_import_cycle() -> None:
    arrows = {
        m: {n for n in imports_of(m) if within(n, "worker.domain")} for m in MODULES if within(m, "worker.domain")
    }

    def reaches(start: str, goal: str, seen: set[str]) -> bool:
        following = arrows.get(start, set()) - seen
        return goal in following or any(reaches(each, goal, seen | following) for each in following)

    assert [module for module in arrows if reaches(module, module, set())] == []


@pytest.mark.parametrize("module", ["worker.processor", "worker.settings", "worker.cli"])
def test_the_core_and_the_command_line_load_no_heavy_library(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{'confluent_kafka', 'torch', 'cv2'}} & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert ran.stdout.strip() == ""


def test_a_worker_starts_without_the_engines_it_does_not_use() -> None:
    code = "import sys, worker.wiring; print(*sorted({'openvino', 'onnxruntime', 'onnx'} & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert ran.stdout.strip() == ""


@pytest.mark.parametrize("module", MODULES)
def test_no_file_grows_beyond_one_job(module: str) -> None:
    path = PACKAGE.parent.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")

    assert len(file.read_text().splitlines()) <= 300
