"""Build the distributions, check them, and try the wheel where nothing else is installed.

Usage: python tools/check_package.py SCRATCH_DIRECTORY
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

IN_WHEEL = (
    "prepaid/__init__.py",
    "prepaid/py.typed",
    "prepaid/store/migrations/script.py.mako",
    "prepaid/invoicing/fonts/",
)
IN_SDIST = (
    ".ci/run",
    "CHANGELOG.md",
    "LICENSE",
    "NOTICE",
    "README.md",
    "docs/index.md",
    "tests/conftest.py",
    "tox.ini",
)


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Run a command and end with it when it fails."""
    print("+", *command, flush=True)
    subprocess.run(command, cwd=cwd, check=True)


def build(distributions: Path) -> tuple[Path, Path]:
    """Build the source distribution, and the wheel from it."""
    shutil.rmtree(distributions, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", distributions, ".")
    (wheel,) = distributions.glob("*.whl")
    (sdist,) = distributions.glob("*.tar.gz")
    return wheel, sdist


def check_contents(wheel: Path, sdist: Path) -> None:
    """Refuse distributions that leave out what they need or take in what they should not.

    Raises:
        SystemExit: With the names of what is missing.
    """
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.namelist()
    with tarfile.open(sdist) as tape:
        sources = [name.partition("/")[2] for name in tape.getnames()]
    missing = [name for name in IN_WHEEL if not any(path.startswith(name) for path in packed)]
    missing += [name for name in IN_SDIST if name not in sources]
    if missing:
        raise SystemExit(f"missing from the distributions: {', '.join(missing)}")


def try_out(wheel: Path, scratch: Path) -> None:
    """Install the wheel into an empty environment, import it and ask its command for help."""
    folder = scratch / "empty"
    venv.create(folder, clear=True, with_pip=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    run(programs / "python", "-m", "pip", "install", "--quiet", wheel)
    # Away from the tree, where `prepaid` could be the source instead of what was installed.
    run(programs / "python", "-W", "error", "-c", "import prepaid; print(prepaid.__version__)", cwd=scratch)
    run(programs / "python", "-m", "pip", "check", cwd=scratch)
    run(programs / "prepaid", "--help", cwd=scratch)


def main(arguments: list[str]) -> None:
    """Do it all in the scratch directory."""
    scratch = Path(arguments[0])
    wheel, sdist = build(scratch / "dist")
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    run(sys.executable, "-m", "check_wheel_contents", wheel)
    check_contents(wheel, sdist)
    try_out(wheel, scratch)


if __name__ == "__main__":
    main(sys.argv[1:])
