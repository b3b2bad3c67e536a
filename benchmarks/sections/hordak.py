"""django-hordak on the same PostgreSQL, in turn with the library: the peer that a Django panel would take."""

from __future__ import annotations

import json
import subprocess
import venv
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from ..books import fill, open_billing
from ..engines import Engine, NotAvailable
from ..figures import Figure
from ..stage import Stage, compared
from .charges import Batches, Draw, charge_each, require_batches

ENGINE: Engine = "pg"
HISTORY: Final = 40
"""Charges that every account has seen before, on both sides: a balance that is summed costs more with each."""

REQUIREMENTS: Final = ("django-hordak==2.0.0", "psycopg[binary]>=3.2")

Ask = Callable[[str, int], float]
"""Lets hordak do so many of something and gives things per second."""

_ROOT = Path(__file__).parents[2]
_ENVIRONMENT = _ROOT / "build" / "benchmarks" / "hordak-2.0.0"


def hordak(stage: Stage) -> list[Figure]:
    """Measure guarded single charges, and batches of a thousand with an account for each item."""
    accounts, calls = stage.size(1_000, 200), stage.size(100, 20)
    url, draw = stage.engines.new_url(ENGINE), Draw()
    stage.note_engine(ENGINE)
    python = _environment(stage)
    stage.conditions.append(_installed(python))
    fill(url, customers=accounts, charges=HISTORY * accounts, tell=stage.tell)
    with _peer(stage, python, accounts) as ask, closing(open_billing(url)) as billing:
        found = stage.in_turn(
            {
                "hordak": lambda: ask("single", calls),
                "ours": lambda: charge_each(billing, draw.any_of(accounts, calls * 4)),
            },
            rounds=9,
        )
        figures = [compared("hordak-single", found["ours"], found["hordak"])]
        try:
            require_batches(billing)
        except NotAvailable as missing:
            stage.tell(f"no batch: {missing}")
            return figures
        batches = Batches(billing)
        found = stage.in_turn(
            {
                "hordak": lambda: ask("batch", accounts),
                "ours": lambda: batches.charge(draw.each_of(accounts, accounts)),
            },
            rounds=9,
        )
    return [*figures, compared("hordak-batch", found["ours"], found["hordak"], note=batches.note())]


def _environment(stage: Stage) -> Path:
    """Give the interpreter of an environment with hordak in it; made once, and kept."""
    python = _ENVIRONMENT / "bin" / "python"
    done = _ENVIRONMENT / "installed"
    if not done.exists():
        stage.tell(f"making an environment with {' and '.join(REQUIREMENTS)}")
        venv.create(_ENVIRONMENT, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", *REQUIREMENTS], check=True)
        done.touch()
    return python


def _installed(python: Path) -> str:
    code = (
        "import importlib.metadata as m; print(*(f'{n} {m.version(n)}' for n in ('django-hordak', 'Django')), sep=', ')"
    )
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def _peer(stage: Stage, python: Path, accounts: int) -> Iterator[Ask]:
    url = make_url(stage.engines.new_url(ENGINE))
    place = [str(part) for part in (url.host, url.port, url.username, url.database)]
    script = Path(__file__).parents[1] / "hordak_side.py"
    command = [str(python), str(script), *place, str(accounts), str(HISTORY)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        told, heard = process.stdin, process.stdout
        if told is None or heard is None or json.loads(heard.readline()) != "ready":
            raise RuntimeError("the other side did not begin")

        def ask(what: str, count: int) -> float:
            told.write(json.dumps([what, count]) + "\n")
            told.flush()
            return count / float(json.loads(heard.readline()))

        yield ask
        told.close()
