"""Delete what only a GPU needs from the Python environment that runs this: its torch then runs on CPUs alone.

torch's wheel on the package index is built for CUDA, and does not load without some of NVIDIA's libraries. The dynamic
linker says which ones: these stay. All others are opened by calls of a GPU, and so is Triton, which compiles for it.
"""
# ruff: noqa: INP001 - a script, not part of a package

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

_OPENED_LATER = {"libtorch_cuda_linalg", "libcaffe2_nvrtc"}
"""Two libraries of torch are opened by calls of a GPU alone, and need more than the others."""


def needed(site: Path) -> set[Path]:
    """Return the files that the dynamic linker loads together with torch."""
    libraries = [each for each in (site / "torch" / "lib").glob("*.so") if each.stem not in _OPENED_LATER]
    ran = subprocess.run(["ldd", *map(str, libraries)], check=True, capture_output=True, text=True)  # noqa: S607
    if missing := [line.split()[0] for line in ran.stdout.splitlines() if line.endswith("not found")]:
        sys.exit(f"error: torch lacks {', '.join(missing)}: install torch again, and then run this again")
    return {Path(line.split()[2]).resolve() for line in ran.stdout.splitlines() if "=> /" in line}


def superfluous(site: Path) -> Iterator[Path]:
    """Yield the folders and files of an environment that no call on a CPU opens.

    Args:
        site: the folder with the installed packages.
    """
    yield from [*site.glob("triton"), *site.glob("triton-*.dist-info")]
    stays = needed(site)
    yield from [each for each in (site / "nvidia").rglob("*") if each.is_file() and each.resolve() not in stays]


def leave_out(site: Path) -> int:
    """Delete them, and return how many bytes that was."""
    freed = 0
    for each in list(superfluous(site)):
        freed += sum(file.stat().st_size for file in (each, *each.rglob("*")) if file.is_file())
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    return freed


def main() -> None:
    """Do it, and say how much that was."""
    site = Path(sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_path("purelib"))
    if not (site / "torch").is_dir():
        sys.exit(f"error: {site} has no torch: run this with the Python of an environment that has it")
    sys.stdout.write(f"{leave_out(site) // 10**6} MB deleted from {site}; its torch now runs on CPUs alone\n")


if __name__ == "__main__":
    main()
