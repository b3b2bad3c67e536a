"""Importing the library is cheap: what only some hosts need is loaded when it is needed."""

from __future__ import annotations

import json
import subprocess
import sys

NEVER_WITH_THE_LIBRARY = {"alembic", "babel", "flask", "fpdf", "paypalrestsdk", "razorpay", "stripe", "xlsxwriter"}

CODE = """
import json, sys, time
started = time.perf_counter()
import prepaid
seconds = time.perf_counter() - started
print(json.dumps({"modules": sorted(sys.modules), "seconds": seconds}))
"""


def test_importing_the_library_loads_no_sdk_renderer_or_framework(record_property):
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)

    assert "prepaid" in answer["modules"]
    assert NEVER_WITH_THE_LIBRARY & set(answer["modules"]) == set()
    record_property("import_seconds", answer["seconds"])
    print(f"import prepaid: {answer['seconds']:.2f} s")
