"""Where exports go: a file that is there whole or not at all, an open file as it comes, and nowhere else."""

from __future__ import annotations

import io
import os
import stat
from datetime import date

import pytest
from sqlalchemy.exc import OperationalError

from prepaid import InvalidRequest, TransactionAborted
from tests.use_cases.export_steps import EVERYTHING, exported, read_csv
from tests.use_cases.steps import SQLITE, database, give, operator

pytestmark = SQLITE


@pytest.fixture
def billing(billing):
    for number in range(5):
        give(billing, "1", key=f"gift-{number}")
    return billing


def write(billing, to, name="transactions", **options):
    return operator(billing).reports.export(name, to=to, **{**EVERYTHING, **options})


@pytest.mark.parametrize("made", [str, lambda path: path])
def test_a_path_gets_the_whole_file_for_its_owner_alone(billing, tmp_path, made):
    path = tmp_path / "transactions.csv"

    done = write(billing, made(path))

    assert done.rows == 5
    assert path.read_bytes() == exported(billing, "transactions")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir() if "export" in entry.name] == []


def test_a_file_that_is_there_is_replaced_only_if_that_is_said(billing, tmp_path):
    path = tmp_path / "transactions.csv"
    path.write_text("mine")

    with pytest.raises(InvalidRequest) as refused:
        write(billing, path)
    assert refused.value.field == "to"
    assert path.read_text() == "mine"
    write(billing, path, overwrite=True)
    assert len(read_csv(path.read_bytes())) == 5


def test_a_link_stays_a_link_to_what_is_replaced(billing, tmp_path):
    path, link = tmp_path / "real.csv", tmp_path / "link.csv"
    path.write_text("mine")
    link.symlink_to(path)

    write(billing, link, overwrite=True)

    assert link.is_symlink()
    assert len(read_csv(path.read_bytes())) == 5


def test_a_link_to_nothing_gets_the_file_that_it_names(billing, tmp_path):
    path, link = tmp_path / "real.csv", tmp_path / "link.csv"
    link.symlink_to(path)

    write(billing, link)

    assert len(read_csv(path.read_bytes())) == 5


def test_a_file_that_appears_meanwhile_is_left_alone(billing, tmp_path):
    path = tmp_path / "transactions.csv"

    with pytest.raises(InvalidRequest) as refused:
        write(billing, path, on_progress=lambda done, of: path.write_text("theirs"))

    assert refused.value.field == "to"
    assert path.read_text() == "theirs"
    assert leftovers(tmp_path) == ["transactions.csv"]


def test_a_disk_without_links_gets_the_file_all_the_same(billing, tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError("not permitted")

    genuine = os.open
    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(os, "open", lambda path, *how: no_links() if os.path.isdir(path) else genuine(path, *how))

    write(billing, tmp_path / "transactions.csv")

    monkeypatch.undo()
    assert len(read_csv((tmp_path / "transactions.csv").read_bytes())) == 5


def leftovers(folder):
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.endswith((".db", ".db-wal", ".db-shm")))


class Stop(Exception):
    pass


def stop_at(count):
    def told(done, of):
        if done >= count:
            raise Stop

    return told


@pytest.mark.parametrize("format", ["csv", "xlsx", "jsonl", "beancount"])
@pytest.mark.parametrize("count", [0, 5])
def test_an_export_that_breaks_leaves_no_file(billing, tmp_path, format, count):
    before = leftovers(tmp_path)

    with pytest.raises(Stop):
        write(billing, tmp_path / "journal", "journal", format=format, on_progress=stop_at(count))

    assert leftovers(tmp_path) == before


def test_an_export_that_breaks_leaves_the_file_that_was_there(billing, tmp_path):
    path = tmp_path / "journal.csv"
    path.write_text("mine")

    with pytest.raises(Stop):
        write(billing, path, overwrite=True, on_progress=stop_at(5))

    assert path.read_text() == "mine"


def test_a_full_disk_is_told_as_it_is_and_leaves_no_file(billing, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OSError, match="No space left"):
        write(billing, tmp_path / "journal.csv")

    assert "journal.csv" not in leftovers(tmp_path)


# Files that somebody has opened


class Slow(io.RawIOBase):
    """A raw file that takes three bytes at a time."""

    def __init__(self):
        self.taken = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.taken += data[:3]
        return len(data[:3])


class Plain:
    """What has nothing but `write`, and says nothing."""

    def __init__(self):
        self.taken = bytearray()

    def write(self, data):
        assert isinstance(data, bytes)
        self.taken += data


@pytest.mark.parametrize("format", ["csv", "xlsx", "jsonl"])
@pytest.mark.parametrize("kind", [Slow, Plain])
def test_any_binary_file_gets_every_byte_in_its_order_and_stays_open(billing, kind, format):
    to = kind()

    done = write(billing, to, format=format)

    from tests.use_cases.export_steps import READERS

    assert len(READERS[format](bytes(to.taken))) == done.rows == 5
    to.write(b"after")


@pytest.mark.parametrize("says", [None, 0])
def test_a_raw_file_that_takes_nothing_is_no_place_to_lose_an_export_in(billing, says):
    class Stuck(Slow):
        def write(self, data):
            return says if data else 0

    with pytest.raises(BlockingIOError):
        write(billing, Stuck())


def test_an_open_file_goes_on_where_it_stands(billing, tmp_path):
    with open(tmp_path / "both.csv", "wb") as file:
        file.write(b"# mine\r\n")
        write(billing, file)
        file.write(b"# the end\r\n")

    first, *_, last = (tmp_path / "both.csv").read_bytes().splitlines()
    assert (first, last) == (b"# mine", b"# the end")


def test_an_error_of_the_file_is_the_callers(billing):
    class Full(Plain):
        def write(self, data):
            if data:
                raise OSError(28, "No space left on device")

    for format in ("csv", "xlsx", "jsonl"):
        with pytest.raises(OSError, match="No space left"):
            write(billing, Full(), format=format)


# A database that is lost on the way


class Loss(Exception):
    sqlite_errorcode = 5  # busy


def lose_once(billing, monkeypatch, rows_before):
    """Let the database be lost after some rows, the first time."""
    from prepaid.reporting.exports import rows

    lost = []
    genuine = rows.exports.wallet_transfers

    def losing(*arguments):
        for number, row in enumerate(genuine(*arguments)):
            if number == rows_before and not lost:
                lost.append(True)
                raise OperationalError("SELECT", {}, Loss())
            yield row

    monkeypatch.setattr(rows.exports, "wallet_transfers", losing)
    return lost


@pytest.mark.parametrize("format", ["csv", "xlsx", "jsonl"])
def test_a_file_at_a_path_is_begun_anew_when_the_database_was_lost(billing, tmp_path, monkeypatch, format):
    whole = exported(billing, "transactions", "csv")
    lost = lose_once(billing, monkeypatch, 3)

    done = write(billing, tmp_path / "again", format=format)

    assert (lost, done.rows) == ([True], 5)
    if format == "csv":
        assert (tmp_path / "again").read_bytes() == whole


def test_what_nobody_has_seen_yet_is_begun_anew_in_an_open_file_too(billing, monkeypatch):
    lost = lose_once(billing, monkeypatch, 3)

    assert len(read_csv(exported(billing, "transactions"))) == 5
    assert lost == [True]


def test_what_was_written_to_an_open_file_is_never_written_twice(billing, monkeypatch):
    monkeypatch.setattr(io, "DEFAULT_BUFFER_SIZE", 16)
    monkeypatch.setattr("prepaid.reporting.exports.destination.BUFFER_BYTES", 16)
    lose_once(billing, monkeypatch, 3)
    to = Plain()

    with pytest.raises(TransactionAborted):
        write(billing, to, format="jsonl")

    assert 0 < bytes(to.taken).count(b'"id"') <= 3


# Places that nothing can be written to


@pytest.mark.parametrize(
    "to",
    [
        None,
        5,
        True,
        b"transactions.csv",
        ["transactions.csv"],
        "",
        "a\x00b",
        "missing/transactions.csv",
        ".",
        "/",
        "/dev/null",
        io.StringIO(),
        io.BytesIO,
        io.BytesIO(b"").getbuffer(),
    ],
)
def test_what_is_neither_a_path_nor_a_binary_file_is_refused(billing, tmp_path, monkeypatch, to):
    monkeypatch.chdir(tmp_path)
    before = leftovers(tmp_path)

    with pytest.raises(InvalidRequest) as refused:
        write(billing, to, overwrite=True)

    assert refused.value.field == "to"
    assert leftovers(tmp_path) == before


def test_a_file_that_is_closed_or_only_read_is_refused(billing, tmp_path):
    path = tmp_path / "there"
    path.write_bytes(b"")
    closed = open(path, "ab")  # noqa: SIM115 - closed on purpose
    closed.close()
    with open(path, "rb") as only_read, open(path, "w") as text:
        for to in (closed, only_read, text):
            with pytest.raises(InvalidRequest) as refused:
                write(billing, to)
            assert refused.value.field == "to"
    assert path.read_bytes() == b""


def test_a_folder_that_may_not_be_written_to_is_refused(billing, tmp_path, monkeypatch):
    import tempfile

    def denied(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", denied)

    with pytest.raises(InvalidRequest, match="Permission denied") as refused:
        write(billing, tmp_path / "transactions.csv")
    assert refused.value.field == "to"


def test_nothing_is_read_before_all_is_checked(billing, tmp_path, monkeypatch):
    def untouched(work):
        raise AssertionError("the database was asked")

    monkeypatch.setattr(database(billing), "read", untouched)
    with pytest.raises(InvalidRequest):
        write(billing, tmp_path / "x.csv", since=date(2026, 11, 2), until=date(2026, 11, 1))
    assert "x.csv" not in leftovers(tmp_path)
