"""What a digest says in each language; a figure or a sort of work without words here is shown by its name."""

from __future__ import annotations

from typing import Final

from attrs import frozen


@frozen(kw_only=True)
class DigestWords:
    """Everything a digest says, in one language.

    Attributes:
        test_subject: Put before the subject in test mode.
        test_mark: What a digest of test mode says about itself.
        subject: ``{seller}``, ``{day}`` and ``{funds}``.
        book: ``{book}`` whose figures they are.
        compared: ``{day_before}`` and ``{week_before}``.
        quiet: Before the names of figures that are all zero.
        unmoved: ``{currencies}`` of which nothing moved and nobody has any.
        liability: What customers have; ``{day}`` and ``{time}`` when that was summed.
        debts: What customers owe, likewise.
        work: Heading of what waits for an operator.
        no_work: What stands there when nothing does.
        late: Heading of late entries.
        late_is: What late entries are.
        written: ``{day}``, ``{time}`` and ``{zone}``.
        days: ``{zone}`` of the days.
        figures: Names of figures.
        works: Names of what waits.
    """

    test_subject: str
    test_mark: str
    subject: str
    book: str
    compared: str
    quiet: str
    unmoved: str
    liability: str
    debts: str
    work: str
    no_work: str
    late: str
    late_is: str
    written: str
    days: str
    figures: dict[str, str]
    works: dict[str, str]

    def figure(self, name: str) -> str:
        """Name a figure."""
        return self.figures.get(name) or _plain(name)

    def waiting(self, name: str) -> str:
        """Name a sort of work."""
        return self.works.get(name) or _plain(name)


def _plain(name: str) -> str:
    return name.replace("_", " ").capitalize()


WORDS: Final[dict[str, DigestWords]] = {
    "en": DigestWords(
        test_subject="[TEST]",
        test_mark="TEST – no real money",
        subject="{seller}: {day}, funds in {funds}",
        book="Book {book}",
        compared="day before {day_before} · week before {week_before}",
        quiet="Nothing in",
        unmoved="Nothing moved in {currencies}.",
        liability="Unspent credit, {day}, {time}",
        debts="Debts, {day}, {time}",
        work="Waits for an operator",
        no_work="Nothing waits for an operator.",
        late="Late entries",
        late_is="Posted for a day after its digest had been written.",
        written="Written on {day} at {time} ({zone}).",
        days="Days are those of {zone}; a fact counts on the day it was posted.",
        figures={
            "funds_in": "Funds in",
            "credit_consumed": "Credit consumed",
            "tax_collected": "Tax collected",
            "refunds_issued": "Refunds issued",
            "bonus_granted": "Bonus granted",
            "discount": "Discounts",
            "vouchers": "Vouchers redeemed",
            "goodwill": "Goodwill",
            "breakage": "Expired credit",
            "fees": "Gateway fees",
            "disputed": "Disputed",
            "suspense_in": "Into review",
            "suspense_out": "Out of review",
        },
        works={
            "reviews": "Top-ups to look at",
            "refund_requests": "Refunds asked for",
            "open_disputes": "Open disputes",
            "unknown_refunds": "Refunds of unknown outcome",
            "parked_events": "Webhooks handled in vain",
            "parked_effects": "Mail and events not delivered",
        },
    ),
    "de": DigestWords(
        test_subject="[TEST]",
        test_mark="TEST – kein echtes Geld",
        subject="{seller}: {day}, Einzahlungen {funds}",
        book="Buch {book}",
        compared="Vortag {day_before} · Vorwoche {week_before}",
        quiet="Nichts bei",
        unmoved="Keine Bewegung in {currencies}.",
        liability="Guthaben, {day}, {time}",
        debts="Schulden, {day}, {time}",
        work="Wartet auf jemanden",
        no_work="Nichts wartet auf jemanden.",
        late="Nachträge",
        late_is="Nach dem Bericht des jeweiligen Tages gebucht.",
        written="Geschrieben am {day} um {time} ({zone}).",
        days="Die Tage sind die von {zone}; was gebucht wurde, zählt am Tag der Buchung.",
        figures={
            "funds_in": "Einzahlungen",
            "credit_consumed": "Verbrauchtes Guthaben",
            "tax_collected": "Eingenommene Steuer",
            "refunds_issued": "Erstattungen",
            "bonus_granted": "Gewährte Boni",
            "discount": "Rabatte",
            "vouchers": "Eingelöste Gutscheine",
            "goodwill": "Kulanz",
            "breakage": "Verfallenes Guthaben",
            "fees": "Gebühren der Zahlungsdienste",
            "disputed": "Zahlungsstreitigkeiten",
            "suspense_in": "In die Prüfung",
            "suspense_out": "Aus der Prüfung",
        },
        works={
            "reviews": "Aufladungen zu prüfen",
            "refund_requests": "Angefragte Erstattungen",
            "open_disputes": "Offene Zahlungsstreitfälle",
            "unknown_refunds": "Erstattungen mit offenem Ausgang",
            "parked_events": "Vergeblich behandelte Webhooks",
            "parked_effects": "Nicht zugestellte Mails und Ereignisse",
        },
    ),
}
"""The languages that digests speak; others are in English, with their own figures and dates."""
