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
    "worker.settings": ("worker.domain.errors", "worker.domain.spelling", "worker.settings"),
    "worker.tasks": ("worker.domain", "worker.ports", "worker.tasks"),
    "worker.sampling": ("worker.domain", "worker.ports", "worker.sampling"),
    "worker.state": ("worker.domain", "worker.ports"),
    "worker.media": ("worker.domain", "worker.media"),
    "worker.adapters": ("worker.domain", "worker.wire"),
    "worker.models": (
        "worker.domain",
        "worker.ports",
        "worker.media",
        "worker.settings",
        "worker.tasks",
        "worker.models",
    ),
    "worker.ops": ("worker.domain", "worker.ops"),
    "worker.stream": (
        "worker.domain",
        "worker.ports",
        "worker.wire",
        "worker.ops.telemetry",
        "worker.stream",
    ),
    "worker.app": (
        "worker.domain",
        "worker.ports",
        "worker.wire",
        "worker.settings",
        "worker.adapters",
        "worker.media",
        "worker.models",
        "worker.ops",
        "worker.sampling",
        "worker.state",
        "worker.stream",
        "worker.views",
        "worker.app",
    ),
    "worker.views": ("worker.domain", "worker.wire", "worker.views"),
    "worker.views.drawing": (
        "worker.domain",
        "worker.views.layout",
        "worker.views.regions",
        "worker.views.shown",
        "worker.views.text",
    ),
    "worker.views.regions": ("worker.domain", "worker.views.layout", "worker.views.shown", "worker.views.text"),
    "worker.views.layout": ("worker.domain", "worker.views.clock", "worker.views.shown", "worker.views.text"),
    "worker.views.clock": ("worker.domain",),
    "worker.views.shown": ("worker.domain",),
    "worker.views.text": (),
    "worker.local": (
        "worker.domain",
        "worker.wire",
        "worker.settings",
        "worker.adapters",
        "worker.media",
        "worker.models",
        "worker.local",
    ),
    "worker.tuning.agreement": (),
    "worker.tuning.groups": ("worker.settings",),
    "worker.tuning.candidates": ("worker.settings",),
    "worker.tuning.pairs": (),
    "worker.tuning.search": ("worker.domain", "worker.settings", "worker.tuning"),
    "worker.tuning": (
        "worker.domain",
        "worker.wire",
        "worker.settings",
        "worker.adapters",
        "worker.media",
        "worker.models",
        "worker.stream.worker",
        "worker.app",
        "worker.tuning",
    ),
    "worker.data": ("worker.domain", "worker.wire", "worker.media", "worker.adapters", "worker.data"),
    "worker.training": (
        "worker.domain",
        "worker.ports",
        "worker.settings",
        "worker.media",
        "worker.models",
        "worker.tasks",
        "worker.data",
        "worker.training",
    ),
    "worker.evaluation": (
        "worker.domain",
        "worker.wire",
        "worker.media",
        "worker.views",
        "worker.tasks",
        "worker.evaluation",
    ),
    "worker.api": (
        "worker.domain",
        "worker.wire",
        "worker.settings",
        "worker.media",
        "worker.models",
        "worker.adapters",
        "worker.ops",
        "worker.app",
        "worker.tuning",
        "worker.api",
    ),
    "worker.cli": ("worker",),
    "worker.__main__": ("worker.cli", "worker.domain.errors", "worker.ops.logs"),
    "worker": ("worker.api",),
}
"""The longest matching prefix of a module says which modules of ours it may import; `worker` itself always."""

LIBRARIES: dict[str, frozenset[str]] = {
    "worker.domain": frozenset({"numpy"}),
    "worker.ports": frozenset({"numpy"}),
    "worker.wire": frozenset({"msgspec"}),
    "worker.settings": frozenset({"pydantic", "pydantic_core", "pydantic_settings", "yaml"}),
    "worker.tasks": frozenset({"numpy"}),
    "worker.sampling": frozenset(),
    "worker.state": frozenset({"numpy"}),
    "worker.media": frozenset({"cv2", "numpy"}),
    "worker.media.folder": frozenset(),
    "worker.media.deep_grey": frozenset({"numpy"}),
    "worker.media.headers": frozenset(),
    "worker.media.jpeg_decoder": frozenset({"numpy", "simplejpeg"}),
    "worker.media.jpeg_rewriting": frozenset(),
    "worker.media.jpeg_structure": frozenset(),
    "worker.media.opencv_path": frozenset(),
    "worker.media.orientation": frozenset({"numpy"}),
    "worker.media.png_decoder": frozenset({"PIL", "numpy"}),
    "worker.media.png_structure": frozenset(),
    "worker.media.refusals": frozenset(),
    "worker.media.webp_structure": frozenset(),
    "worker.media.resize": frozenset({"cv2", "numpy", "torch"}),
    "worker.media.resize_weights": frozenset({"numpy", "torch"}),
    "worker.media.video": frozenset({"cv2"}),
    "worker.adapters": frozenset(),
    "worker.adapters.http": frozenset({"prometheus_client"}),
    "worker.adapters.kafka": frozenset({"confluent_kafka", "structlog"}),
    "worker.models": frozenset({"torch", "torchvision", "numpy"}),
    "worker.models.allocator": frozenset(),
    "worker.models.loaded": frozenset({"numpy"}),
    "worker.models.annotated_manifest": frozenset({"yaml"}),
    "worker.models.checkpoints": frozenset({"torch", "torchvision", "numpy", "safetensors"}),
    "worker.models.container": frozenset(),
    "worker.models.engine_choice": frozenset({"msgspec", "numpy", "torch"}),
    "worker.models.file_kinds": frozenset(),
    "worker.models.labels": frozenset({"yaml"}),
    "worker.models.export_efficientnet": frozenset({"torch", "efficientnet_lite_pytorch"}),
    "worker.models.manifest": frozenset({"msgspec", "yaml"}),
    "worker.models.manifest_checks": frozenset({"msgspec"}),
    "worker.models.manifest_fields": frozenset({"msgspec"}),
    "worker.models.packages": frozenset(),
    "worker.models.ready": frozenset(),
    "worker.models.store": frozenset(),
    "worker.models.engines.onnx_export": frozenset({"torch"}),
    "worker.models.engines.onnx_quantiser": frozenset({"onnx", "onnxruntime", "numpy"}),
    "worker.models.engines.onnxruntime_engine": frozenset({"onnxruntime", "numpy"}),
    "worker.models.engines.openvino_engine": frozenset({"openvino", "numpy"}),
    "worker.models.engines.streams": frozenset({"numpy"}),
    "worker.ops": frozenset({"structlog"}),
    "worker.ops.telemetry": frozenset({"prometheus_client", "structlog"}),
    "worker.ops.batches": frozenset({"prometheus_client"}),
    "worker.ops.verdicts": frozenset({"prometheus_client"}),
    "worker.stream": frozenset({"numpy"}),
    "worker.app.dead_letters": frozenset({"msgspec"}),
    "worker.app.main_thread": frozenset(),
    "worker.views": frozenset(),
    "worker.views.drawing": frozenset({"cv2", "numpy"}),
    "worker.views.regions": frozenset({"cv2", "numpy"}),
    "worker.views.text": frozenset({"cv2", "numpy"}),
    "worker.tuning.agreement": frozenset(),
    "worker.tuning.groups": frozenset(),
    "worker.tuning.candidates": frozenset(),
    "worker.tuning.pairs": frozenset(),
    "worker.tuning.search": frozenset(),
}
"""Third-party libraries by the same rule; modules without an entry may use any."""

LONG = 400
"""Lines of a file beyond which one asks whether it answers one question."""
LONGER: dict[str, str] = {}
"""Longer modules, each with the reason why it is one file."""

CLOCKLESS = (
    "worker.domain",
    "worker.ports",
    "worker.wire",
    "worker.tasks",
    "worker.sampling",
    "worker.state",
    "worker.stream",
    "worker.ops.telemetry",
    "worker.tuning.candidates",
    "worker.tuning.pairs",
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


def test_only_the_command_line_python_programs_and_tuning_import_the_application() -> None:
    importers = {module for module in MODULES if any(within(name, "worker.app") for name in imports_of(module))}

    assert importers
    assert all(
        any(within(module, f"worker.{each}") for each in ("api", "app", "cli", "tuning")) for module in importers
    )


def test_only_the_command_line_knows_what_is_for_a_laptop() -> None:
    importers = {module for module in MODULES if any(within(name, "worker.local") for name in imports_of(module))}

    assert {module.split(".")[1] for module in importers} == {"cli", "local"}


def test_the_domain_has_no_import_cycle() -> None:
    arrows = {
        m: {n for n in imports_of(m) if within(n, "worker.domain")} for m in MODULES if within(m, "worker.domain")
    }

    def reaches(start: str, goal: str, seen: set[str]) -> bool:
        following = arrows.get(start, set()) - seen
        return goal in following or any(reaches(each, goal, seen | following) for each in following)

    assert [module for module in arrows if reaches(module, module, set())] == []


@pytest.mark.parametrize("module", ["worker", "worker.api", "worker.stream.worker", "worker.settings", "worker.cli"])
def test_the_core_and_the_command_line_load_no_heavy_library(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{'confluent_kafka', 'torch', 'cv2'}} & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert ran.stdout.strip() == ""


@pytest.mark.slow
def test_a_worker_starts_without_the_engines_it_does_not_use() -> None:
    code = "import sys, worker.app.workers; print(*sorted({'openvino', 'onnxruntime', 'onnx'} & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert ran.stdout.strip() == ""


@pytest.mark.parametrize("module", MODULES)
def test_a_file_that_is_long_has_a_reason(module: str) -> None:
    """How complex a function may be is ruff's to say, in pyproject.toml."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")

    assert len(file.read_text().splitlines()) <= LONG or module in LONGER
