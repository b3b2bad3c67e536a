"""Several processes with a connection each, on one PostgreSQL: what eight do over what one does."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from typing import Any
from uuid import UUID

from ..books import fill, open_billing
from ..engines import LIMITS, Engine
from ..figures import Figure
from ..stage import Stage, compared
from .charges import Draw, charge_each, limit_each

PROCESSES = 8
ENGINE: Engine = "pg"


def connections(stage: Stage) -> list[Figure]:
    """Measure the library and the limit at one connection and at eight."""
    wallets, calls = stage.size(10_000, 500), stage.size(400, 50)
    url, limit_url = stage.engines.new_url(ENGINE), stage.engines.new_url(ENGINE)
    fill(url, customers=wallets, tell=stage.tell)
    stage.new_limit(ENGINE, limit_url, wallets=wallets).close()
    with _crowd("ours", url, wallets) as ours, _crowd("limit", limit_url, wallets) as limit:
        found = stage.in_turn(
            {
                "limit at 1": lambda: _run(limit[:1], calls),
                "ours at 1": lambda: _run(ours[:1], calls),
                "limit at 8": lambda: _run(limit, calls),
                "ours at 8": lambda: _run(ours, calls),
            },
            rounds=7,
        )
    return [
        compared("pg-connections", found["ours at 8"], found["ours at 1"]),
        compared("pg-connections-limit", found["limit at 8"], found["limit at 1"]),
        compared("pg-connections-of-limit", found["ours at 8"], found["limit at 8"]),
    ]


@contextmanager
def _crowd(side: str, url: str, wallets: int) -> Iterator[list[Connection]]:
    context = multiprocessing.get_context("spawn")
    pipes, processes = list[Connection](), list[Any]()
    for seed in range(PROCESSES):
        here, there = context.Pipe()
        processes.append(context.Process(target=_work, args=(there, side, (url, wallets, seed)), daemon=True))
        pipes.append(here)
        processes[-1].start()
        there.close()
    try:
        for pipe in pipes:
            pipe.recv()
        yield pipes
    finally:
        for pipe, process in zip(pipes, processes, strict=True):
            pipe.close()
            process.join(10)


def _run(pipes: list[Connection], calls: int) -> float:
    """Let each process make its calls at once, and give calls per second from the first to the last."""
    for pipe in pipes:
        pipe.send(calls)
    spans: list[tuple[float, float]] = [pipe.recv() for pipe in pipes]
    return calls * len(spans) / (max(end for _, end in spans) - min(start for start, _ in spans))


def _work(pipe: Connection, side: str, place: tuple[str, int, int]) -> None:
    """Charge as often as the pipe says, until it closes."""
    url, wallets, seed = place
    draw = Draw(seed)
    with closing(_SIDES[side](url)) as worker:
        worker.charge(draw.any_of(wallets, 5))
        pipe.send("ready")
        while True:
            try:
                drawn = draw.any_of(wallets, pipe.recv())
            except EOFError:
                return
            began = time.monotonic()
            worker.charge(drawn)
            pipe.send((began, time.monotonic()))


class _Ours:
    """The library, on one connection."""

    def __init__(self, url: str) -> None:
        self._billing = open_billing(url)
        self.close = self._billing.close

    def charge(self, drawn: list[tuple[int, UUID]]) -> float:
        return charge_each(self._billing, drawn)


class _AtLimit:
    """The limit, on one connection."""

    def __init__(self, url: str) -> None:
        self._limit = LIMITS[ENGINE](url)
        self.close = self._limit.close

    def charge(self, drawn: list[tuple[int, UUID]]) -> float:
        return limit_each(self._limit.charge, drawn)


_SIDES: dict[str, type[_Ours] | type[_AtLimit]] = {"ours": _Ours, "limit": _AtLimit}
