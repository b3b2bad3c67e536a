"""What every suite shares: engines to run on, and a last word on those that are missing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import settings

from tests import engines
from tests.engines.galera import GaleraCluster
from tests.engines.mariadb import MariaDBServer
from tests.engines.postgres import PostgresCluster
from tests.statements import keep_compiled

_MISSING = pytest.StashKey[dict[str, str]]()

# A slice that is the same in every run; a slow machine is no defect of the code.
settings.register_profile("slice", deadline=None, derandomize=True)
settings.register_profile("full", deadline=None, max_examples=2000, print_blob=True)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to run at all where an engine that must be there is not."""
    keep_compiled()
    settings.load_profile("full" if config.getoption("markexpr") == "full" else "slice")
    try:
        required = engines.required_engines()
    except engines.UnknownEngine as unknown:
        raise pytest.UsageError(str(unknown)) from None
    missing = config.stash[_MISSING] = engines.missing_engines()
    if absent := sorted(required & missing.keys()):
        reasons = "; ".join(f"{name} ({missing[name]})" for name in absent)
        raise pytest.UsageError(f"PREPAID_REQUIRE asks for engines that are not here: {reasons}.")


SLICES = {"tests/use_cases/": 8, "tests/store/": 8, "tests/faults/": 4}
"""Of how many tests that a server runs one is not behind ``-m full``, by the folder.

All of them run on SQLite, but for `SAMPLED`. Which are taken is fixed by their names, so that each stays
where it is.
"""

SAMPLED = {f"tests/faults/test_{name}_crashes.py": 3 for name in ("credit", "identity", "promotion", "refund")}
"""Of how many tests one is not behind ``-m full``, by the folder or file, whatever the engine."""

SHORT = {f"tests/{name}/": 9 for name in ("examples", "faults", "gateways", "store", "use_cases")} | {
    "tests/browser/": 7,
    "tests/stateful/": 2,
}
"""Of how many tests one belongs to a short run, by the folder: what ``tox`` does unless it is asked for all."""

UNMEASURED = tuple(
    Path(__file__).parent / name
    for name in (
        *("examples", "faults", "stateful", "test_docs.py"),
        *(f"gateways/test_{name}.py" for name in ("blackhole", "fault_campaign", "no_secrets")),
    )
)
"""What runs without measuring coverage, which takes nearly as long again: forks, lives, races and pages go over what
the other suites reach line by line. ``PREPAID_SUITES`` takes these (``unmeasured``) or all others (``measured``)."""

ALWAYS = (
    "tests/use_cases/test_batches.py",
    *("test_promotion_races", "test_identity_race", "test_voucher_races", "test_credit_races", "test_charge_race"),
    *("test_of_a_charge_and_a_refund_of_the_same_credit", "test_eight_operators_who_approve_one_request"),
    *(
        "test_a_reference_that_another_operator_recorded",
        "test_one_reference_that_two_operators_record_for_two_gateways",
    ),
)
"""Races, whose subject is the server, and batches, which each engine writes in its own way."""


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the suites that a run with or without coverage is not for."""
    suites = os.environ.get("PREPAID_SUITES", "")
    if suites == "measured":
        return True if collection_path in UNMEASURED else None
    if suites == "unmeasured":
        leads = (one.is_relative_to(collection_path) or collection_path.is_relative_to(one) for one in UNMEASURED)
        return None if any(leads) else True
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let a server run a slice of the stories; and the tests of the cluster come first, so that one cluster runs."""
    is_short = os.environ.get("PREPAID_TESTS") == "short" and config.getoption("markexpr") == "not full"
    for item in items:
        on_server = any(item.get_closest_marker(name) for name in ("postgresql", "mariadb"))
        is_taken = _is_in_sample(item.nodeid) and (not on_server or _is_in_slice(item.nodeid))
        if not is_taken or (is_short and not _is_drawn(item.nodeid, SHORT)):
            item.add_marker(pytest.mark.full)
    items.sort(key=lambda item: item.get_closest_marker("galera") is None)


def _is_in_sample(name: str) -> bool:
    return _is_drawn(name, SAMPLED)


def _is_in_slice(name: str) -> bool:
    return any(race in name for race in ALWAYS) or _is_drawn(name, SLICES)


def _is_drawn(name: str, shares: Mapping[str, int]) -> bool:
    return crc32(name.encode()) % next((of for place, of in shares.items() if name.startswith(place)), 1) == 0


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose engine is not here; the summary names it."""
    for name in item.config.stash[_MISSING]:
        if item.get_closest_marker(name) is not None:
            pytest.skip(f"engine not available: {name}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say by name which engines the run did without."""
    missing = terminalreporter.config.stash[_MISSING]
    skipped = [str(report.longrepr) for report in terminalreporter.getreports("skipped")]
    for name, reason in sorted(missing.items()):
        count = sum(f"engine not available: {name}" in line for line in skipped)
        terminalreporter.write_line(f"engine not available: {name} ({reason}); {count} tests skipped", yellow=True)


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    """Give a running server; tests that use it directly carry the mark ``postgresql``."""
    cluster = PostgresCluster()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDBServer]:
    """Give a running server; tests that use it directly carry the mark ``mariadb``, and none of them kills it."""
    server = MariaDBServer(fsync=False)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def galera_cluster() -> Iterator[GaleraCluster]:
    """Give a running cluster of three nodes; tests that use it carry the mark ``galera`` and leave it whole."""
    cluster = GaleraCluster()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def galera_node(galera_cluster: GaleraCluster) -> MariaDBServer:
    """Give one node of a running cluster."""
    return galera_cluster.first


DatabaseServer = PostgresCluster | MariaDBServer

_SERVER_FIXTURES = {"postgresql": "postgres_cluster", "mariadb": "mariadb_server", "galera": "galera_node"}


def server_of(request: pytest.FixtureRequest, engine: str) -> DatabaseServer:
    """Give the running server of an engine, by the engine's name."""
    server: DatabaseServer = request.getfixturevalue(_SERVER_FIXTURES[engine])
    return server


@pytest.fixture(params=engines.SERVERS)
def server(request: pytest.FixtureRequest) -> DatabaseServer:
    """Give a running server of each engine that has one."""
    return server_of(request, request.param)


@pytest.fixture(params=engines.DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URL of an empty database, once for each engine."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'billing.db'}"
        return
    server = server_of(request, request.param)
    url = server.new_database()
    yield url
    server.drop_database(url)
