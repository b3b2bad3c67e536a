"""Somebody with the database's password, whom neither triggers nor checks hold back."""

from __future__ import annotations

import sqlite3

import psycopg
import pymysql
from pymysql.constants import CLIENT

from tests.use_cases.steps import BOOK_TABLES


def intrude_sqlite(url):
    intruder = sqlite3.connect(url.database)
    intruder.execute("PRAGMA ignore_check_constraints = ON")
    intruder.execute("PRAGMA synchronous = OFF")
    return intruder


def intrude_postgresql(url):
    intruder = psycopg.connect(host=url.host, port=url.port, user=url.username, dbname=url.database)
    intruder.execute("SET session_replication_role = replica")  # neither triggers nor foreign keys
    return intruder


class MariaDBIntruder:
    """A connection that takes statements like those of the other drivers."""

    def __init__(self, url):
        self._connection = pymysql.connect(
            host=url.host, port=url.port, user=url.username, database=url.database, client_flag=CLIENT.FOUND_ROWS
        )
        self.execute("SET check_constraint_checks = 0, foreign_key_checks = 0")
        # Values change places, and bars put texts together, as on the other engines.
        self.execute("SET sql_mode = CONCAT(@@sql_mode, ',SIMULTANEOUS_ASSIGNMENT,PIPES_AS_CONCAT')")

    def execute(self, statement, values=None):
        cursor = self._connection.cursor()
        cursor.execute(statement, values)
        return cursor

    def commit(self):
        self._connection.commit()

    def rollback(self):
        self._connection.rollback()

    def close(self):
        self._connection.close()


INTRUDERS = {"sqlite": intrude_sqlite, "postgresql": intrude_postgresql, "mariadb": MariaDBIntruder}
UNLOCKING = {
    "sqlite": "SELECT 'DROP TRIGGER ' || name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT 'ALTER TABLE ' || conrelid::regclass || ' DROP CONSTRAINT ' || conname"
    " FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0",
    "mariadb": "SELECT CONCAT('DROP TRIGGER ', trigger_name) FROM information_schema.triggers"
    " WHERE trigger_schema = DATABASE()",
}


def unlock(intruder, dialect):
    """Drop what protects the tables."""
    for (statement,) in intruder.execute(UNLOCKING[dialect]).fetchall():
        intruder.execute(statement)
    intruder.commit()


def keep_copies(intruder):
    """Keep a copy of each table, to put its rows right from."""
    for table in BOOK_TABLES:
        intruder.execute(f"CREATE TABLE kept_{table} AS SELECT * FROM prepaid_{table}")
    intruder.commit()
