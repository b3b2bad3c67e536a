"""The machine a run is made on, in words, and the question whether its disk is one."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

_MEMORY_ONLY = ("tmpfs", "ramfs")


def describe() -> str:
    """Name processor, cores, memory, system, and what one synchronous write costs."""
    cores, gib = os.cpu_count(), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return f"{_processor()}, {cores} cores, {gib:.0f} GiB, {system}, fdatasync {_fdatasync_us():.0f} µs"


def software(*packages: str) -> str:
    """Name the versions of Python, of the library with its commit, and of further packages."""
    named = [f"{package} {version(package)}" for package in ("SQLAlchemy", *packages)]
    return ", ".join((f"prepaid {version('prepaid')}{_commit()}", f"Python {platform.python_version()}", *named))


def refuse_memory(folder: Path) -> None:
    """Stop where files live in memory: a commit would cost nothing there.

    Raises:
        SystemExit: They do.
    """
    found = _filesystem(folder.resolve())
    if found in _MEMORY_ONLY:
        raise SystemExit(f"{folder} is {found}: commits there reach no disk. Set TMPDIR to a folder on one.")


def _filesystem(folder: Path) -> str:
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    above = [(Path(point), kind) for point, kind in mounts if folder.is_relative_to(point)]
    return max(above, key=lambda mount: len(mount[0].parts))[1]


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""  # a source distribution
    return f" ({done.stdout.strip()})"


def _fdatasync_us() -> float:
    found = []
    with tempfile.TemporaryFile() as file:
        for _ in range(200):
            os.pwrite(file.fileno(), os.urandom(512), 0)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            found.append((time.perf_counter() - began) * 1e6)
    return median(found)


def peak_mib() -> float:
    """Read the most memory this program had; getrusage would count what started it as well."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [peak] = [line for line in lines if line.startswith("VmHWM:")]
    return int(peak.split()[1]) / 1024
