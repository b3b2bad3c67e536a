"""Alembic scripts; they ship in the wheel and are run by `prepaid.store.migrate`."""
