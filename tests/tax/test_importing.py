"""Rules as CSV and from a package of rates, and what an import would change."""

from __future__ import annotations

import sys
from datetime import date, timedelta
from decimal import Decimal

import pytest
from attrs import evolve, fields
from hypothesis import assume, example, given
from hypothesis import strategies as st

from prepaid import ConfigurationError, InvalidRequest, RuleDiff, TaxComponent, TaxRule
from prepaid.core.countries import COUNTRIES
from prepaid.core.parties import SCHEMES
from prepaid.core.tax_rules import CATEGORIES
from prepaid.tax.importing import compare, rules_from_vat_rates
from prepaid.tax.rule_csv import COLUMNS, MOST_BYTES, MOST_LINES, read_components, rules_from_csv, rules_to_csv
from prepaid.tax.rules import check_together
from prepaid.tax.territories import is_in_eu

NEWEST = date(2026, 11, 1)
EU_27 = sorted(country for country in COUNTRIES if is_in_eu(country, NEWEST))

# Texts that a reader could trip over: marks of the grammar, of CSV, of spreadsheets, keywords, numbers.
_TRICKY = st.sampled_from(
    [
        "'",
        "''",
        '"',
        ",",
        ";",
        "+",
        "=",
        "-",
        "@",
        "on",
        "of",
        "20",
        "5.5",
        "%",
        " ",
        "\u00a0",
        "ΦΠΑ",
        "＝1",
        "VAT",
        "x",
    ]
)
_WORDS = st.lists(_TRICKY | st.characters(exclude_categories=["C", "Z"]), max_size=8).map("".join)
_NAMES = _WORDS.map(lambda name: name[:40]).filter(str.strip).filter(lambda name: name.strip("\u00a0 "))
_PERCENTS = st.decimals(0, 100, places=4) | st.sampled_from([Decimal("20"), Decimal("9.975"), Decimal("20.0")])


@st.composite
def component_lists(draw, least=1):
    names = draw(st.lists(_NAMES, min_size=least, max_size=4, unique=True))
    return tuple(
        TaxComponent(
            name,
            draw(_PERCENTS),
            tuple(draw(st.lists(st.sampled_from(names[:place]), unique=True))) if place else (),
            draw(st.just(Decimal(100)) | _PERCENTS),
            jurisdiction=draw(st.sampled_from(["", "CA", "CA-QC", "ES-CN"])),
        )
        for place, name in enumerate(names)
    )


@st.composite
def rules(draw):
    treatment = draw(st.sampled_from(sorted(CATEGORIES)))
    country = draw(st.sampled_from(["FR", "PT", "CA", "EU", "*"]))
    is_own = len(country) == 2 and country != "EU"
    states = ["", "CA-QC"] if country == "CA" else ["", f"{country}-1", f"{country}-QC"]
    since = draw(st.dates(date(1970, 1, 1), date(8000, 1, 1)))
    texts = {name: draw(_WORDS.map(lambda text: text[:60])) for name in ("note", "source") if draw(st.booleans())}
    if draw(st.booleans()):
        texts["reason"] = draw(st.from_regex(r"[A-Za-z0-9-]{0,40}", fullmatch=True))
    assume(treatment != "exempt" or texts.get("reason") or texts.get("note"))
    return TaxRule(
        country,
        draw(component_lists()) if treatment == "standard" else (),
        subdivision=draw(st.sampled_from(states)) if is_own else "",
        postcode=draw(st.sampled_from(["", "35###", "@@##|AB[1-3]#", "?#"])) if is_own else "",
        territory=draw(st.sampled_from(["", "PT-20", "PT-30"])) if country == "PT" else "",
        customer=draw(st.sampled_from(["any", "consumer", "business"])),
        tax_id=draw(st.sampled_from(["any", "valid", "not_valid"])),
        seller=draw(st.sampled_from(["any", "same_country", "other_subdivision"])),
        treatment=treatment,
        category=draw(st.sampled_from(CATEGORIES[treatment])),
        requires_registration=draw(st.lists(st.sampled_from(SCHEMES), unique=True).map(tuple)),
        jurisdiction=draw(st.sampled_from(["", "DE"])),
        priority=draw(st.integers(-1000, 1000)),
        valid_from=since,
        valid_to=draw(st.none() | st.integers(1, 5000).map(lambda days: since + timedelta(days=days))),
        **texts,
    )


def rule(percent="20", since=2014, until=None, country="FR", **more):
    return TaxRule(
        country,
        (("TVA", percent),),
        valid_from=date(since, 1, 1),
        valid_to=date(until, 1, 1) if until else None,
        **more,
    )


def stored(*found):
    return tuple(evolve(known, id=f"tax_{place}") for place, known in enumerate(found))


def after(known, diff):
    """Give what is in use once a diff is applied."""
    return stored(*(old for old in known if old not in diff.retired), *diff.fresh)


def spans(found):
    return sorted(
        (str(r.components[0].percent), r.valid_from.year, r.valid_to.year if r.valid_to else None) for r in found
    )


# Round trip


def test_the_columns_are_the_fields_of_a_rule_but_for_its_id():
    assert sorted((*COLUMNS, "id")) == sorted(field.name for field in fields(TaxRule))


@given(st.lists(rules(), max_size=4))
@example(
    [rule(source="=HYPERLINK(1)"), TaxRule("FR", treatment="reverse_charge", reason="", note="", valid_from=NEWEST)]
)
@example([TaxRule("FR", (("'", "1"), ("+ on 5", "2"), ("x;y", "3")), valid_from=NEWEST, note="'=")])
def test_rules_are_read_back_as_they_were_written(found):
    assert rules_from_csv(rules_to_csv(found)) == tuple(found)


@given(component_lists())
def test_components_are_read_back_to_the_last_digit(components):
    written = rules_to_csv([TaxRule("FR", components, valid_from=NEWEST)])

    [known] = rules_from_csv(written)

    assert [str(item.percent) for item in known.components] == [str(item.percent) for item in components]


def test_ids_are_neither_written_nor_read():
    assert "tax_0" not in rules_to_csv(stored(rule()))
    with pytest.raises(InvalidRequest, match="column 1"):
        rules_from_csv("id,country,valid_from\ntax_0,FR,2014-01-01\n")


@given(st.lists(rules(), max_size=3))
@example([TaxRule("FR", (("=1", "20"), ("@x", "5")), valid_from=NEWEST)])
@example([TaxRule("GB", (("VAT", "20"),), postcode="@@##", note="+1", source="-1", reason="-1", valid_from=NEWEST)])
def test_no_cell_of_a_text_begins_as_a_formula(found):
    import csv
    import io

    for row in csv.DictReader(io.StringIO(rules_to_csv(found), newline="")):
        assert not any(row[name].startswith(tuple("=+-@＝＋－＠")) for name in COLUMNS if name != "priority")


def test_an_apostrophe_that_a_spreadsheet_needs_is_taken_off_and_no_other():
    rows = """country,treatment,note,valid_from
FR,zero,'=1,2014-01-01
DE,zero,'tis,2014-01-01
IT,reverse_charge,',2014-01-01
"""

    assert [known.note for known in rules_from_csv(rows)] == ["=1", "'tis", ""]


# The form of a file

MINIMAL = "country,valid_from,components\nFR,2014-01-01,TVA 20\n"


@pytest.mark.parametrize(
    "written",
    [
        "\ufeff" + MINIMAL,
        MINIMAL.replace("\n", "\r\n"),
        MINIMAL.replace(",", ";"),
        MINIMAL + "\n,,\n",
        "components, country ,valid_from\nTVA 20, FR, 2014-01-01\n",
    ],
)
def test_marks_line_ends_delimiters_and_blank_lines_make_no_difference(written):
    assert rules_from_csv(written) == rules_from_csv(MINIMAL) == (rule(),)


@pytest.mark.parametrize(
    ("cell", "components"),
    [
        ("VAT 20", [("VAT", "20", (), "100")]),
        ("City tax 2.5;  State tax 5 of 80", [("City tax", "2.5", (), "100"), ("State tax", "5", (), "80")]),
        ("GST 5; QST 9.975 on GST", [("GST", "5", (), "100"), ("QST", "9.975", ("GST",), "100")]),
        ("A 1; B 2; C 3 of 50 on A + B", [("A", "1", (), "100"), ("B", "2", (), "100"), ("C", "3", ("A", "B"), "50")]),
        ("'Levy 3; it''s +' 1", [("Levy 3; it's +", "1", (), "100")]),
        ("taxe d'eau 1", [("taxe d'eau", "1", (), "100")]),
        ("tax on fuel of cars 1 on on", [("tax on fuel of cars", "1", ("on",), "100")]),
    ],
)
def test_components_are_written_in_words(cell, components):
    found = [(item.name, str(item.percent), item.compound_on, str(item.base_percent)) for item in read_components(cell)]

    assert found == components


NO_COMPONENTS = (
    *("VAT", "20", "VAT 20%", "VAT 20 %", "VAT,20", "VAT -5", "VAT 1e3", "VAT 101", "'' 5"),
    *("VAT 20;", "; VAT 20", "VAT 5; VAT 6", "'VAT 5", "VAT' 5 '"),
    *(
        "VAT 5 of",
        "VAT 5 of 80 90",
        "VAT 5 on",
        "VAT 5 on A +",
        "VAT 5 on B",
        "A 1; B 2 on A on A",
        "A 1; B 2 on A + A",
    ),
)


@pytest.mark.parametrize("cell", NO_COMPONENTS)
def test_components_that_cannot_be_read_are_refused_with_their_line(cell):
    with pytest.raises(InvalidRequest, match="Line 2, components: ") as refused:
        rules_from_csv(f'country,valid_from,components\nFR,2014-01-01,"{cell}"\n')

    assert (refused.value.field, refused.value.params["line"]) == ("components", 2)


@pytest.mark.parametrize(
    ("written", "field", "line"),
    [
        ("", "country", 1),
        ("country,components\nFR,TVA 20\n", "valid_from", 1),
        ("country,valid_from,rate\n", "csv", 1),
        ("country,valid_from,country\n", "country", 1),
        ("country,valid_from,components\nFR,2014-01-01\n", "csv", 2),
        ("country,valid_from,components\nFR,2014-01-01,TVA 20,x\n", "csv", 2),
        ("country,valid_from,components\nFR,,TVA 20\n", "valid_from", 2),
        ("country,valid_from,components\n\nFR,2014-02-30,TVA 20\n", "valid_from", 3),
        ("country,valid_from,components\nFR,01.01.2014,TVA 20\n", "valid_from", 2),
        ("country,valid_from,components\nFR,20140101,TVA 20\n", "valid_from", 2),
        ("country,valid_from,components\nFR,2014-01-01,TVA 20\nXX,2014-01-01,VAT 20\n", "country", 3),
        ("country,valid_from,components\nFR,2014-01-01,\n", "components", 2),
        ("country,valid_from,components,priority\nFR,2014-01-01,TVA 20,high\n", "priority", 2),
        ("country,valid_from,components,priority\nFR,2014-01-01,TVA 20,1001\n", "priority", 2),
        ("country,valid_from,components,customer\nFR,2014-01-01,TVA 20,Consumer\n", "customer", 2),
        ("country,valid_from,components,territory\nFR,2014-01-01,TVA 20,ES-CN\n", "territory", 2),
        (
            "country,valid_from,components,requires_registration\nFR,2014-01-01,TVA 20,ioss\n",
            "requires_registration",
            2,
        ),
        ("country,valid_from,components,note\nFR,2014-01-01,TVA 20,a\u202eb\n", "note", 2),
        ("country,valid_from,components,note\nFR,2014-01-01,TVA 20,a\x00b\n", "note", 2),
        ('country,valid_from,components,note\nFR,2014-01-01,TVA 20,"a\nb"\n', "note", 3),
        ("country,valid_from,components,note\nFR,2014-01-01,TVA 20,a\ud800b\n", "note", 2),
        ("country,valid_from,components,note\nFR,2014-01-01,TVA 20," + 401 * "x" + "\n", "note", 2),
        ('country,valid_from,components\n"FR"x,2014-01-01,TVA 20\n', "csv", 2),
        ('country,valid_from,components\nFR,2014-01-01,"TVA 20\n', "csv", 2),
        ("country,valid_from,note\nFR,2014-01-01," + 200_000 * "x" + "\n", "csv", 2),
    ],
)
def test_what_cannot_be_right_is_refused_with_line_and_column(written, field, line):
    with pytest.raises(InvalidRequest, match=f"^Line {line}") as refused:
        rules_from_csv(written)

    assert refused.value.field == field
    assert len(refused.value.message) < 500
    assert refused.value.message.isprintable()


@pytest.mark.parametrize(("column", "longest"), [("note", 400), ("components", 4000), ("country", 400)])
def test_a_cell_has_a_longest_length(column, longest):
    row = {"country": "FR", "valid_from": "2014-01-01", "components": "TVA 20", "note": "", column: (longest + 1) * "x"}

    with pytest.raises(InvalidRequest, match=f"Line 2, {column}: {column} has at most {longest} characters"):
        rules_from_csv(",".join(row) + "\n" + ",".join(row.values()))


@pytest.mark.parametrize("written", [None, b"country", "x" * (MOST_BYTES + 1), "ß" * (MOST_BYTES // 2 + 1)])
def test_what_is_no_text_or_too_large_is_refused_as_a_whole(written):
    with pytest.raises(InvalidRequest) as refused:
        rules_from_csv(written)

    assert refused.value.field == "csv"


def test_a_file_has_as_many_lines_as_it_may_have_and_no_more():
    row = "FR,2014-01-01,TVA 20\n"
    most = "country,valid_from,components\n" + MOST_LINES * row

    assert len(rules_from_csv(most)) == MOST_LINES
    with pytest.raises(InvalidRequest, match="5000 lines"):
        rules_from_csv(most + row)


def outcome(act):
    """Give the field of a refusal, or None."""
    try:
        act()
    except InvalidRequest as refused:
        return refused.field
    return None


@given(st.text(max_size=300) | st.text(max_size=200).map(lambda text: "country,valid_from,components,note\n" + text))
def test_any_text_is_read_or_refused(written):
    assert outcome(lambda: rules_from_csv(written)) in (None, "csv", *COLUMNS)


# Comparing


def test_what_is_not_there_is_added():
    diff = compare([], [rule(source="CGI art. 278")])

    assert diff == RuleDiff(added=(rule(source="CGI art. 278"),))
    assert diff.lines() == ("+ FR TVA 20 % from 2014-01-01 (CGI art. 278)", "= 0 unchanged")


@pytest.mark.parametrize("same", [rule(), rule(since=2020), rule(since=2020, until=2021), rule(source="elsewhere")])
def test_what_is_in_force_already_is_unchanged(same):
    diff = compare(stored(rule()), [same])

    assert diff == RuleDiff(unchanged=(same,))
    assert diff.is_empty
    assert diff.lines() == ("= 1 unchanged",)


def test_another_rate_ends_the_one_in_force():
    [known] = stored(rule("22", country="EE"))
    wanted = rule("24", since=2025, country="EE")

    diff = compare([known], [wanted])

    assert diff == RuleDiff(added=(wanted,), ended=((known, date(2025, 1, 1)),))
    assert diff.lines() == (
        "~ EE TVA 22 % ends 2025-01-01",
        "+ EE TVA 24 % from 2025-01-01",
        "= 0 unchanged",
    )
    assert spans(diff.fresh) == [("22", 2014, 2025), ("24", 2025, None)]


@pytest.mark.parametrize(
    "other",
    [
        {"components": (("VAT", "20"),)},
        {"components": (), "treatment": "exempt", "category": "E", "reason": "VATEX-EU-132"},
        {"category": "L"},
        {"reason": "some"},
        {"note": "words"},
        {"jurisdiction": "DE"},
    ],
)
def test_every_part_of_the_content_counts(other):
    wanted = evolve(rule(since=2020), **other)

    assert compare(stored(rule()), [wanted]).added == (wanted,)


def test_a_rule_from_the_first_day_on_replaces():
    [known] = stored(rule("22"))
    wanted = rule("24", since=2010)

    diff = compare([known], [wanted])

    assert diff == RuleDiff(replaced=((known, wanted),))
    assert diff.fresh == (wanted,)
    assert diff.lines()[0] == "! FR TVA 22 % from 2014-01-01 is replaced by TVA 24 % from 2010-01-01"


def test_one_rule_may_replace_several_and_comes_into_use_once():
    known = stored(rule("19", until=2020), rule("20", since=2020))

    diff = compare(known, [rule("21", since=2010)])

    assert [old for old, _ in diff.replaced] == list(known)
    assert spans(diff.fresh) == [("21", 2010, None)]


def test_a_rate_for_a_while_lets_the_old_one_go_on_after_it():
    known = stored(rule("19", country="DE"))

    diff = compare(known, [rule("16", since=2020, until=2021, country="DE")])

    assert spans(diff.fresh) == [("16", 2020, 2021), ("19", 2014, 2020), ("19", 2021, None)]


def test_a_wanted_rule_that_takes_up_what_another_cut_comes_into_use_itself():
    known = stored(rule("19", source="old law"))
    back = rule("19", since=2021, source="new law")

    diff = compare(known, [rule("16", since=2020, until=2021), back])

    assert diff.added == (rule("16", since=2020, until=2021), back)
    assert diff.unchanged == ()


@pytest.mark.parametrize("known", [rule("19", until=2020), rule("19", since=2021)])
def test_rules_that_only_touch_leave_each_other_alone(known):
    wanted = rule("16", since=2020, until=2021)

    assert compare(stored(known), [wanted]) == RuleDiff(added=(wanted,))


def test_rules_that_are_not_mentioned_stay():
    known = stored(rule(), rule(country="IT"), rule(customer="business"))

    diff = compare(known, [rule("21", since=2030)])

    assert diff.retired == known[:1]


def test_two_wanted_rules_for_the_same_sales_are_refused():
    with pytest.raises(InvalidRequest, match="match the same sales") as refused:
        compare([], [rule(), rule(since=2020)])
    assert refused.value.field == "valid_from"

    with pytest.raises(InvalidRequest) as refused:
        compare([], [rule(postcode="1####"), rule("5", postcode="1#0##")])
    assert refused.value.field == "priority"


def test_days_that_would_be_left_open_are_refused():
    with pytest.raises(InvalidRequest, match="No rule of FR") as refused:
        compare(stored(rule(until=2020)), [rule(since=2021)])

    assert refused.value.field == "valid_from"


def test_the_lines_say_what_a_rule_is_about():
    wanted = TaxRule(
        "EU", customer="business", tax_id="valid", seller="other_country", treatment="reverse_charge", valid_from=NEWEST
    )
    under_threshold = rule(country="EU", jurisdiction="DE", requires_registration="local", priority=5)

    assert compare([], [wanted, under_threshold]).lines()[:2] == (
        "+ EU (registered local, priority 5) TVA 20 % of DE from 2014-01-01",
        "+ EU (business, tax id valid, seller in other country) reverse charge from 2026-11-01",
    )


@st.composite
def timelines(draw, longest=6):
    """Rules of two series that follow each other without holes."""
    found = []
    for customer in draw(st.lists(st.sampled_from(["consumer", "business"]), min_size=1, max_size=2, unique=True)):
        years = sorted(draw(st.sets(st.integers(2000, 2012), min_size=2, max_size=longest)))
        ends = [*years[1:-1], draw(st.sampled_from([years[-1], None]))]
        for since, until in zip(years[:-1], ends, strict=True):
            found.append(rule(draw(st.sampled_from(["19", "20"])), since, until, customer=customer))
    return found


def decides(found, day, customer):
    return next((r.components[0].percent for r in found if r.customer == customer and r.covers(day)), None)


@given(timelines(), timelines())
def test_the_wanted_rules_decide_their_days_and_what_was_in_use_all_others(in_use, wanted):
    known = stored(*in_use)
    assume(outcome(lambda: compare(known, wanted)) is None)  # the two may leave days open between them
    diff = compare(known, wanted)
    now = after(known, diff)

    check_together(now)
    for customer in ("consumer", "business"):
        for year in range(1999, 2015):
            day = date(year, 6, 1)
            asked = decides(wanted, day, customer)
            assert decides(now, day, customer) == (asked if asked is not None else decides(known, day, customer))
    again = compare(now, wanted)
    assert again.is_empty
    assert len(again.unchanged) == len(wanted)


@given(timelines(), timelines())
def test_a_comparison_is_refused_if_and_only_if_days_would_be_left_open(in_use, wanted):
    def has_hole(customer):
        days = [date(year, 6, 1) for year in range(2000, 2014)]
        decided = [bool(decides(wanted, day, customer) or decides(in_use, day, customer)) for day in days]
        return "-" in "".join("x" if is_decided else "-" for is_decided in decided).strip("-")

    leaves_days_open = any(has_hole(customer) for customer in ("consumer", "business"))

    assert outcome(lambda: compare(stored(*in_use), wanted)) == ("valid_from" if leaves_days_open else None)


@given(timelines(), timelines(), st.randoms(use_true_random=False))
def test_the_order_of_rows_makes_no_difference(in_use, wanted, random):
    def found(one, other):
        try:
            return compare(one, other)
        except InvalidRequest as refused:
            return refused.field

    known, shuffled, asked = stored(*in_use), list(stored(*in_use)), list(wanted)
    random.shuffle(shuffled)
    random.shuffle(asked)

    assert found(known, wanted) == found(shuffled, asked)


# The package of rates


def test_the_package_gives_the_standard_rate_of_each_member_state():
    found = rules_from_vat_rates(NEWEST)

    assert [known.country for known in found] == EU_27
    assert len(EU_27) == 27
    rates = {known.country: str(known.components[0].percent) for known in found}
    assert {code: rates[code] for code in ("DE", "EE", "FI", "HU", "LU")} == {
        "DE": "19",
        "EE": "24",
        "FI": "25.5",
        "HU": "27",
        "LU": "17",
    }
    assert all(len(known.components) == 1 and known.requires_registration == ("local", "oss") for known in found)
    check_together(found)


def test_the_source_names_the_package_and_the_day_of_its_rates():
    import eu_vat_rates_data

    [known] = rules_from_vat_rates(NEWEST, countries=["DE"], requires_registration=())

    assert known.source.startswith(f"eu-vat-rates-data of {eu_vat_rates_data.data_version}")
    assert (known.valid_from, known.valid_to, known.requires_registration) == (NEWEST, None, ())


def test_greece_may_be_written_as_its_vat_numbers_are():
    found = rules_from_vat_rates(NEWEST, countries=["EL", "GR", "DE"])

    assert [known.country for known in found] == ["DE", "GR"]


@pytest.mark.parametrize("countries", [["GB"], ["XX"], ["DE", "CH"], "DE", 5, [None]])
def test_what_is_no_list_of_member_states_is_refused(countries):
    with pytest.raises(InvalidRequest) as refused:
        rules_from_vat_rates(NEWEST, countries=countries)

    assert refused.value.field == "countries"


def test_without_a_day_there_are_no_rules():
    with pytest.raises(InvalidRequest) as refused:
        rules_from_vat_rates("2026-11-01")

    assert refused.value.field == "valid_from"


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "eu_vat_rates_data", None)

    with pytest.raises(ConfigurationError, match=r"prepaid\[vat-rates\]"):
        rules_from_vat_rates(NEWEST)


@pytest.mark.parametrize("broken", [None, "high", float("nan"), 1e-9])
def test_a_package_without_a_usable_rate_is_a_fault_of_the_set_up(monkeypatch, broken):
    import eu_vat_rates_data

    rates = {"EL": {"eu_member": True, "vat_abbr": "ΦΠΑ", "standard": broken}}
    monkeypatch.setattr(eu_vat_rates_data, "get_all_rates", lambda: rates)

    with pytest.raises(ConfigurationError, match="GR"):
        rules_from_vat_rates(NEWEST)
