"""Time that passes for a database: what a dead process held is free, as no clock of a test reaches the server's."""

from __future__ import annotations

from sqlalchemy import Engine, text


def let_claims_lapse(engine: Engine) -> None:
    """End every lease and every claim, as their time would."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE prepaid_job_lease SET expires_at = 0"))
        connection.execute(text("UPDATE prepaid_outbox SET claimed_until = 0"))
