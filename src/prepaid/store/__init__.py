"""How things are kept: schema, engines, and one module of SQL per noun.

Only this package imports SQLAlchemy and Alembic. Everything above passes a `Tx`
down and gets frozen values back.
"""

from .database import BookDatabase, Database, Tx
from .engines import Duplicate, configure_sqlite
from .joined import JoinedDatabase, joined_database
from .migrate import schema_status, upgrade_schema

__all__ = [
    "BookDatabase",
    "Database",
    "Duplicate",
    "JoinedDatabase",
    "Tx",
    "configure_sqlite",
    "joined_database",
    "schema_status",
    "upgrade_schema",
]
