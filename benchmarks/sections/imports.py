"""What a host pays for `import prepaid`, in a process that has imported nothing else."""

from __future__ import annotations

import subprocess
import sys

from ..figures import Figure
from ..stage import Stage, timed

_CODE = "import time; began = time.perf_counter(); import prepaid; print(time.perf_counter() - began)"


def imports(stage: Stage) -> list[Figure]:
    """Import in a new process each time; the first one, which may compile, does not count."""
    found = stage.in_turn({"import, s": _import_s}, rounds=9)["import, s"]
    return [timed("import", found)]


def _import_s() -> float:
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True)
    return float(done.stdout)
