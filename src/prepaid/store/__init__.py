"""How things are kept: schema, engines, and one module of SQL per noun.

Only this package imports SQLAlchemy and Alembic. Everything above passes a `Tx`
down and gets frozen values back.
"""

from .database import Database, Tx
from .engines import Duplicate, configure_sqlite
from .migrate import schema_status, upgrade_schema

__all__ = ["Database", "Duplicate", "Tx", "configure_sqlite", "schema_status", "upgrade_schema"]
