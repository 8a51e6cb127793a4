"""Writes the hashed lists that the launcher installs: ``python configs/locks/lock.py [embedded|test]``; needs uv.

torch and torchvision stand outside: one version has a CPU and a CUDA build with different digests, and which of them an
index offers differs. The launcher installs them by version and records what it got. llama-cpp-python has no wheel.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]

OUTSIDE = ("torch", "torchvision", "llama-cpp-python")
TORCH_DEPENDENCIES = (
    "filelock",
    "fsspec",
    "jinja2",
    "networkx",
    "numpy",
    "pillow",
    "setuptools",
    "sympy",
    "typing-extensions",
)
LLAMA_DEPENDENCIES = ("diskcache",)
NEVER = "python_version < '3'"


def main(names: list[str]) -> None:
    """Write the lists that ``names`` ask for, or all."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    embedded = [*project["dependencies"], *TORCH_DEPENDENCIES]
    extra = project["optional-dependencies"]["dev"]
    if not names or "embedded" in names:
        _compile(embedded, HERE / "embedded.txt", constraint=None)
    if not names or "test" in names:
        # The whole of embedded stands in it too, at the same versions: installing it changes nothing that runs.
        _compile([*embedded, *extra, *LLAMA_DEPENDENCIES], HERE / "test.txt", constraint=HERE / "embedded.txt")


def _compile(requirements: list[str], output: Path, constraint: Path | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.in"
        wanted.write_text("\n".join(line for line in requirements if _name(line) not in OUTSIDE) + "\n")
        override = Path(folder) / "override.txt"
        override.write_text("".join(f"{name} ; {NEVER}\n" for name in OUTSIDE))
        command = [
            *("uv", "pip", "compile", str(wanted), "--output-file", str(output), "--override", str(override)),
            *(
                "--universal",
                "--fork-strategy",
                "fewest",
                "--python-version",
                "3.11",
                "--generate-hashes",
                "--only-binary",
                ":all:",
            ),
            *("--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--no-header", "--quiet"),
        ]
        if constraint is not None:
            command += ["--constraint", str(constraint)]
        subprocess.run(command, check=True)
    _check(output)


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _check(output: Path) -> None:
    text = output.read_text()
    for wrong in ("://", "+cpu", "\nnvidia-cu", "\nnvidia-nccl", "\ntorch=="):
        if wrong in text:
            raise SystemExit(f"{output} holds {wrong!r}: it must name no registry, no build and no CUDA package")


if __name__ == "__main__":
    main(sys.argv[1:])
