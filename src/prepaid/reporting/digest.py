"""The daily digest: written once for each day, mailed once, and honest about what was posted too late for it.

A digest's facts are frozen in the transaction that writes its mail to the
outbox. What was posted for its day afterwards is told by the next digest, once:
what a reader was told of a day is its own digest and all late entries since.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final, Literal

from .. import audit, outbox, settings_store
from ..config import Context
from ..core.digest import (
    CATCH_UP_DAYS,
    DIGEST_SETTING,
    LATE_FOR,
    CurrencyFacts,
    DigestFacts,
    DigestSettings,
    Figures,
    LateEntry,
    late_entries,
    missing_days,
    settings_from_record,
    told_figures,
)
from ..core.errors import ConfigurationError, InvalidRequest, WrongState
from ..core.figures import figures
from ..core.instants import day_start
from ..ports import MailMessage
from ..store import Duplicate, Tx, digests, flows, operations, work
from ..store import outbox as outbox_rows
from ..store.digests import StoredDigest
from ..store.outbox import Effect
from .digest_letter import DigestLetter, letter_of

log = logging.getLogger("prepaid.digest")

FOR_ONE_ADDRESS: Final = timedelta(minutes=3)
"""No address is begun with unless the attempt has so much time: it must end before another worker takes it over."""

_DAY: Final = timedelta(days=1)
_FIRST_DAY: Final = date(1970, 1, 9)

DigestState = Literal["sent", "waiting"]


# Settings


def set_settings(
    context: Context,
    *,
    enabled: bool,
    email: Any,
    hour: int,
    timezone: str | None,
    locale: str,
    actor: str,
    reason: object,
) -> DigestSettings:
    """Set whether, when and to whom digests are sent, all anew; what is switched on begins with yesterday.

    Args:
        context: The billing system.
        enabled: Whether digests are sent. While they are not, none is written, and none is sent for those days.
        email: One address, or up to 20.
        hour: Hour of the day at which they are sent, from 0 to 23.
        timezone: IANA zone of that hour; the seller's if None. Figures are by the seller's days all the same.
        locale: Language and form of amounts and dates.
        actor: The operator.
        reason: Why, for the audit.

    Raises:
        InvalidRequest: Something that cannot be; ``field`` names it. Or there is no mailer.
    """
    settings = DigestSettings(
        enabled=enabled,
        email=email,
        hour=hour,
        timezone=timezone,
        locale=_known_locale(locale),
    )
    if settings.enabled and context.mailer is None:
        raise InvalidRequest("There is no mailer; nothing could be sent.", field="enabled")
    settings_store.set_digest(context, settings, actor=actor, reason=reason)
    return read_settings(context)


def _known_locale(locale: object) -> str:
    from babel import Locale, UnknownLocaleError

    try:
        Locale.parse(locale.replace("-", "_") if isinstance(locale, str) else "")
    except (UnknownLocaleError, ValueError):
        raise InvalidRequest("locale is a locale such as 'en' or 'de_DE'.", field="locale") from None
    return str(locale)


def read_settings(context: Context) -> DigestSettings:
    """Give the settings; those of a book that never set any send nothing."""
    return context.database.read(_settings)


def _settings(tx: Tx, *, hold: bool = False) -> DigestSettings:
    return settings_from_record(operations.read_setting(tx, DIGEST_SETTING, hold=hold))


# Facts


def figures_of_day(tx: Tx, day: date, currency: str, *, zone: str) -> Figures:
    """Sum every figure of one day of the seller's zone, in ledger units."""
    return figures(flows.flows(tx, currency, day_start(day, zone), day_start(day + _DAY, zone)))


def _facts(tx: Tx, context: Context, day: date, *, tells_late: bool = True) -> DigestFacts:
    settings = _settings(tx)
    return DigestFacts(
        day=day,
        seller=context.seller.name,
        locale=settings.locale,
        timezone=settings.zone(context.seller.timezone),
        seller_zone=context.seller.timezone,
        currencies=tuple(_of_currency(tx, context, day, currency) for currency in context.currencies),
        work=work.counts(tx),
        late=_late(tx, context, day) if tells_late else (),
    )


def _of_currency(tx: Tx, context: Context, day: date, currency: str) -> CurrencyFacts:
    of_day, day_before, week_before = (
        figures_of_day(tx, day - back * _DAY, currency, zone=context.seller.timezone) for back in (0, 1, 7)
    )
    liability, debts = flows.liability(tx, currency)
    return CurrencyFacts(
        currency=currency,
        figures=of_day,
        day_before=day_before,
        week_before=week_before,
        liability=liability,
        debts=debts,
    )


def _late(tx: Tx, context: Context, day: date) -> tuple[LateEntry, ...]:
    """Compare the digests that were written lately with what their days have now."""
    recent = digests.written_since(tx, context.now() - LATE_FOR, before=day)
    if not recent:
        return ()
    told = told_figures(digests.from_day(tx, recent[0].day))
    # By the zone of then: a seller who moves makes nothing late.
    found = {
        (digest.day, each.currency): figures_of_day(tx, digest.day, each.currency, zone=digest.seller_zone)
        for digest in recent
        for each in digest.currencies
    }
    return late_entries(told, found)


# Writing


def write_due(context: Context, *, stop_at: datetime | None = None) -> int:
    """Write the digests that are due, the oldest day first, and count them.

    Raises:
        TransactionAborted: The database gave up; what was written stays.
    """
    settings, now = read_settings(context), context.now()
    if not settings.enabled:
        return 0
    if context.mailer is None:
        log.warning("digests wait: no mailer is configured")
        return 0
    since = context.current_day() - CATCH_UP_DAYS * _DAY
    written = context.database.read(lambda tx: digests.days(tx, since))
    count = 0
    for day in missing_days(settings, now=now, seller_zone=context.seller.timezone, written=written):
        if stop_at is not None and context.now() >= stop_at:
            break
        # The first one of a run tells what is late; days that are caught up with would each be compared with all.
        count += _write(context, day, tells_late=not count)
    return count


def _write(
    context: Context, day: date, *, tells_late: bool = True, then: Callable[[Tx], None] = lambda tx: None
) -> bool:
    """Write a day's digest with its mail, unless there is one or digests are switched off; tell whether it was."""

    def read(tx: Tx) -> tuple[int, DigestFacts]:
        return digests.count(tx), _facts(tx, context, day, tells_late=tells_late)

    while True:
        # Summed before the transaction: nobody waits for it.
        seen, facts = context.database.read(read)
        done = context.database.write(partial(_keep, context=context, facts=facts, seen=seen, then=then))
        if done is not None:
            return done


def _keep(tx: Tx, *, context: Context, facts: DigestFacts, seen: int, then: Callable[[Tx], None]) -> bool | None:
    """Keep facts; None if another digest was written since they were summed, which may tell the same late entries."""
    if not _settings(tx, hold=True).enabled or digests.find(tx, facts.day) is not None:
        return False
    if digests.count(tx) != seen:
        return None
    digest = StoredDigest(id=context.ids.new("dig"), facts=facts, created_at=context.now())
    key = facts.day.isoformat()
    payload = {"day": key, "digest": digest.id, "sha256": digests.add(tx, digest)}
    outbox.add(tx, context, outbox.DIGEST_MAIL, dedupe_key=key, payload=payload)
    then(tx)
    return True


def send(context: Context, day: object, *, actor: str, reason: object) -> DigestState:
    """Send a day's digest now if it was not sent: also one of long ago, and one that was tried too often.

    Raises:
        InvalidRequest: Not a day that has ended, a reason that is no text, or there is no mailer.
        WrongState: Digests are switched off.
    """
    wanted, why = _ended_day(context, day), audit.optional_reason(reason)
    if context.mailer is None:
        raise InvalidRequest("There is no mailer; nothing could be sent.", field="day")
    if not read_settings(context).enabled:
        raise WrongState("Digests are switched off.", field="day")
    key = wanted.isoformat()

    def note(tx: Tx) -> None:
        audit.record(tx, context, actor=actor, action="digest-send", target=key, reason=why)

    def revive(tx: Tx) -> None:
        if outbox_rows.revive(tx, outbox.DIGEST_MAIL, key, context.now()):
            note(tx)

    if not _write(context, wanted, then=note):
        context.database.write(revive)
    return "sent" if outbox.deliver_now(context, outbox.DIGEST_MAIL, key, mail) else "waiting"


def preview(context: Context, day: object) -> DigestLetter:
    """Give the mail of a day: as it was written, or as it would be now. Writes and sends nothing.

    Raises:
        InvalidRequest: Not a day that has ended.
    """
    wanted = _ended_day(context, day)

    def read(tx: Tx) -> tuple[DigestFacts, datetime]:
        found = digests.find(tx, wanted)
        return (_facts(tx, context, wanted), context.now()) if found is None else (found.facts, found.created_at)

    facts, written_at = context.database.read(read)
    return letter_of(facts, written_at=written_at, book=context.book, mode=context.mode)


def _ended_day(context: Context, day: object) -> date:
    if not isinstance(day, date) or isinstance(day, datetime) or not _FIRST_DAY <= day < context.current_day():
        raise InvalidRequest("day is a date of the seller's zone that has ended.", field="day")
    return day


# Mailing


def mail(context: Context, effect: Effect) -> None:
    """Send the digest that an outbox row names, to the addresses that are set now.

    Whoever is not set any more gets none, nor does anybody while digests are switched off.

    Raises:
        ConfigurationError: There is no mailer.
        PartlyDelivered: Not every address has it; those that have are not sent it again.
    """
    if context.mailer is None:
        raise ConfigurationError("A digest is to be mailed and no mailer is configured.")
    day = date.fromisoformat(effect.payload["day"])
    settings, digest = context.database.read(lambda tx: (_settings(tx), digests.find(tx, day)))
    if digest is None or not settings.enabled:
        log.info("the digest of %s is not sent: digests are switched off", day)
        return
    letter = letter_of(digest.facts, written_at=digest.created_at, book=context.book, mode=context.mode)
    had = _send(context, letter, effect, to=settings.email, key=f"digest/{digest.id}")
    missing = len(set(settings.email) - set(had))
    if missing:
        raise outbox.PartlyDelivered(had, f"{missing} of {len(settings.email)} addresses failed")
    with suppress(Duplicate):  # told by another worker at the same moment
        context.database.write(lambda tx: _tell(tx, context, digest))


def _send(context: Context, letter: DigestLetter, effect: Effect, *, to: tuple[str, ...], key: str) -> tuple[str, ...]:
    """Hand the mail to each address that has not had it, while the attempt is ours, and give all that have."""
    assert context.mailer is not None  # noqa: S101 - the caller has looked
    done = list(effect.progress)
    for address in to:
        if address in done:
            continue
        if not context.database.read(lambda tx: outbox_rows.has_left(tx, effect, FOR_ONE_ADDRESS)):
            break
        message = MailMessage(to=address, subject=letter.subject, text=letter.text, html=letter.html, message_key=key)
        try:
            context.mailer.send(message)
        except Exception as error:
            # One address must not keep the others from having it; the class only, a message may hold an address.
            log.warning("a digest was not taken: %s", type(error).__name__)
        else:
            done.append(address)
    return tuple(done)


def _tell(tx: Tx, context: Context, digest: StoredDigest) -> None:
    key = digest.facts.day.isoformat()
    if not outbox.exists(tx, "digest-sent", key):
        outbox.emit(tx, context, "digest-sent", about=key, digest=digest.id, day=key)
