"""Which rule decides: the published order, whatever the order of rules; what contradicts itself is refused in time."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prepaid.core.errors import InvalidRequest, TaxUndecided
from prepaid.core.parties import Address, Registration, Seller
from prepaid.core.tax_rules import TaxRule
from prepaid.tax.rules import Case, Choice, RuleSet, check_together, is_registered, rank
from prepaid.tax.territories import BY_ID, TERRITORIES, is_in_eu, locate

DAY = date(2026, 11, 22)
SINCE = date(2014, 1, 1)
SPANS = [(SINCE, None), (SINCE, date(2026, 1, 1)), (date(2026, 1, 1), None), (date(2026, 1, 1), date(2027, 1, 1))]
SELLERS = [
    Seller("S", address, registrations=registrations)
    for address, registrations in (
        (Address(country="DE"), (Registration(country="DE"), Registration(country="DE", scheme="oss"))),
        (Address(country="DE"), ()),
        (Address(country="ES", postcode="35001"), (Registration(country="ES", subdivision="ES-CN"),)),
        (Address(country="IN", subdivision="IN-MH"), (Registration(country="IN", scheme="export"),)),
        (Address(country="US"), (Registration(country="IE", scheme="non_union_oss"),)),
    )
]
PLACES = [
    Address(country="FR"),
    Address(country="MC"),
    Address(country="FR", postcode="97110"),
    Address(country="ES", postcode="28001"),
    Address(country="ES", postcode="35001"),
    Address(country="ES", subdivision="ES-TF"),
    Address(country="PT", postcode="9000-100"),
    Address(country="PT", postcode="1000-100"),
    Address(country="DE"),
    Address(country="DE", postcode="27498"),
    Address(country="IN", subdivision="IN-MH"),
    Address(country="IN", subdivision="IN-KA"),
    Address(country="IN"),
    Address(country="GB", postcode="BT1 5GS"),
    Address(country="US", subdivision="US-TX"),
]


CONDITIONS = {
    "customer": ["consumer", "business"],
    "tax_id": ["valid", "not_valid"],
    "seller": ["same_country", "other_country", "same_subdivision", "other_subdivision"],
    "requires_registration": [("local",), ("oss", "local"), ("export",)],
    "priority": [1],
    "territory": ["ES-CN", "PT-30", "DE-HEL"],
    "subdivision": ["ES-TF", "IN-MH", "IN-KA"],
    "postcode": ["35###", "3500#", "9######", "90#####", "1######"],
}
"""What a rule may ask for, beside its country."""

OF_COUNTRY = {
    "ES": {"ES-CN", "ES-TF", "35###", "3500#"},
    "PT": {"PT-30", "9######", "90#####", "1######"},
    "DE": {"DE-HEL"},
    "IN": {"IN-MH", "IN-KA"},
}


@st.composite
def rules(draw: st.DrawFn) -> TaxRule:
    """Draw a rule about a small world that asks for little, so that many meet."""
    country = draw(st.sampled_from(["FR", "MC", "GP", "ES", "PT", "DE", "IN", "EU", "*"]))
    asked = draw(st.lists(st.sampled_from(sorted(CONDITIONS)), max_size=3, unique=True))
    conditions = {name: draw(st.sampled_from(CONDITIONS[name])) for name in asked}
    for name in ("territory", "subdivision", "postcode"):
        if conditions.get(name) not in OF_COUNTRY.get(country, ()):
            conditions.pop(name, None)
    start, end = draw(st.sampled_from(SPANS))
    percent = str(draw(st.integers(1, 99)))
    return TaxRule(country, (("T", percent),), **conditions, valid_from=start, valid_to=end)


@st.composite
def rulebooks(draw: st.DrawFn) -> list[TaxRule]:
    """Draw rules that may be kept together, as an operator adds them: what is refused is left out."""
    kept: list[TaxRule] = []
    for number, rule in enumerate(draw(st.lists(rules(), max_size=14))):
        named = TaxRule(**{field: getattr(rule, field) for field in FIELDS}, id=f"tax_{number}")
        try:
            check_together([*kept, named])
        except InvalidRequest:
            continue
        kept.append(named)
    return kept


FIELDS = (
    "country components subdivision postcode territory customer tax_id seller requires_registration priority "
    "valid_from valid_to"
).split()


@st.composite
def cases(draw: st.DrawFn) -> Case:
    day = draw(st.sampled_from([DAY, date(2020, 5, 5), date(2028, 1, 1)]))
    return Case(
        location=locate(draw(st.sampled_from(PLACES)), day),
        day=day,
        customer=draw(st.sampled_from(["consumer", "business"])),
        has_valid_tax_id=draw(st.booleans()),
        seller=draw(st.sampled_from(SELLERS)),
    )


def outcome(rules: list[TaxRule], case: Case) -> object:
    try:
        return RuleSet(rules).choose(case)
    except TaxUndecided as undecided:
        return undecided.message


@settings(max_examples=400)
@given(rulebooks(), st.lists(cases(), min_size=1, max_size=8), st.integers())
def test_the_order_of_rules_makes_no_difference(book, sales, seed) -> None:
    shuffled = Random(seed).sample(book, len(book))

    for sale in sales:
        assert outcome(shuffled, sale) == outcome(book, sale)


@settings(max_examples=400)
@given(rulebooks(), st.lists(cases(), min_size=1, max_size=8))
def test_rules_that_were_accepted_together_never_tie(book, sales) -> None:
    for sale in sales:
        found = outcome(book, sale)
        assert isinstance(found, Choice) or "do not cover" in str(found)


@settings(max_examples=400)
@given(rulebooks(), cases())
def test_the_rule_that_decides_is_the_nearest_by_the_published_order(book, sale) -> None:
    found = outcome(book, sale)
    if not isinstance(found, Choice) or found.rule is None:
        return

    in_force = [rule for rule in book if applies(rule, sale) and rule.covers(sale.day) and is_registered(rule, sale)]
    assert found.rule in in_force
    for other in in_force:
        if other is not found.rule:
            assert nearer(found.rule, other, sale)


def applies(rule: TaxRule, sale: Case) -> bool:
    """Say by plain words, not by those of the engine, whether a rule is about a sale."""
    where = sale.location
    if rule.country == "EU":
        here = is_in_eu(where.area, sale.day)
    elif rule.country == "*":
        here = True
    elif rule.territory:
        here = where.territory == rule.territory
    elif where.territory and where.area != BY_ID[where.territory].country:
        here = rule.country in (where.country if where.country == where.territory else None, where.area or None)
    else:
        here = rule.country in (where.country, where.area)
    codes = {"3500#": "3500", "35###": "35", "9######": "9", "90#####": "90", "1######": "1"}
    return (
        here
        and rule.subdivision in ("", where.subdivision)
        and (not rule.postcode or where.postcode.startswith(codes[rule.postcode]))
        and rule.customer in ("any", sale.customer)
        and rule.tax_id in ("any", "valid" if sale.has_valid_tax_id else "not_valid")
        and rule.seller in sale.relations()
    )


def nearer(one: TaxRule, other: TaxRule, sale: Case) -> bool:
    def closeness(rule: TaxRule) -> int:
        return {"*": 0, "EU": 1}.get(rule.country, 3 if rule.territory or rule.country == sale.location.country else 2)

    def seller(rule: TaxRule) -> int:
        return 0 if rule.seller == "any" else 2 if "subdivision" in rule.seller else 1

    for measure in (
        lambda rule: rule.priority,
        lambda rule: bool(rule.postcode),
        lambda rule: bool(rule.territory),
        lambda rule: bool(rule.subdivision),
        closeness,
        lambda rule: rule.tax_id != "any",
        lambda rule: rule.customer != "any",
        seller,
        lambda rule: bool(rule.requires_registration),
    ):
        if measure(one) != measure(other):
            return measure(one) > measure(other)
    return False


def rule(country: str = "FR", percent: str = "20", **more: object) -> TaxRule:
    return TaxRule(country, (("VAT", percent),), **{"valid_from": SINCE, **more})


@pytest.mark.parametrize(
    ("one", "other", "field"),
    [
        (rule(), rule(percent="5"), "valid_from"),
        (rule(customer="business"), rule(customer="business", percent="5"), "valid_from"),
        (rule("PT", postcode="9######"), rule("PT", postcode="90#####"), "priority"),
        (rule("FR", territory="GP"), rule("GP", territory="GP"), "valid_from"),
        (rule(requires_registration="oss"), rule(requires_registration="local"), "priority"),
        (rule(valid_to=date(2020, 1, 1)), rule(valid_from=date(2020, 1, 2)), "valid_from"),
        (rule(valid_from=date(2020, 1, 2)), rule(valid_to=date(2020, 1, 1)), "valid_from"),
    ],
)
def test_two_rules_that_contradict_each_other_are_refused_and_the_field_named(one, other, field) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_together([one, other])

    assert refused.value.field == field


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (rule(), rule("DE")),
        (rule(customer="business"), rule(customer="consumer")),
        (rule(tax_id="valid"), rule(tax_id="not_valid")),
        (rule(seller="same_country"), rule(seller="other_country")),
        (rule(seller="same_subdivision"), rule(seller="other_subdivision")),
        (rule("PT", postcode="90#####"), rule("PT", postcode="91#####")),
        (rule("PT", postcode="9###"), rule("PT", postcode="9######")),
        (rule("PT", territory="PT-20"), rule("PT", territory="PT-30")),
        (rule("CA", subdivision="CA-ON"), rule("CA", subdivision="CA-QC")),
        (rule(), rule(priority=1)),
        (rule(valid_to=date(2020, 1, 1)), rule(valid_from=date(2020, 1, 1))),
        (rule("MC"), rule("FR")),
        (rule("EU"), rule("*")),
    ],
)
def test_rules_that_do_not_meet_or_differ_in_rank_are_kept_together(one, other) -> None:
    check_together([one, other])


@pytest.mark.parametrize(("country", "territory"), [("ES", "ES-XX"), ("FR", "ES-CN"), ("DE", "AX")])
def test_a_territory_is_one_of_its_country(country, territory) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_together([rule(country, territory=territory)])

    assert refused.value.field == "territory"


def case(address: Address, **changes: object) -> Case:
    values = {"customer": "consumer", "has_valid_tax_id": False, "seller": SELLERS[0], "day": DAY, **changes}
    return Case(location=locate(address, values["day"]), **values)


def test_a_rate_that_was_forgotten_is_an_error_although_a_rule_for_everywhere_exists() -> None:
    elsewhere = TaxRule("*", treatment="out_of_scope", valid_from=SINCE)
    book = RuleSet([rule(valid_to=DAY), elsewhere])

    with pytest.raises(TaxUndecided) as refused:
        book.choose(case(Address(country="FR")))

    assert refused.value.field == "country"
    assert book.choose(case(Address(country="US"))).rule is elsewhere


def test_a_special_rate_that_ended_without_a_successor_is_a_gap_until_it_is_retired() -> None:
    special = rule("AT", "5", postcode="6020", valid_from=date(2020, 7, 1), valid_to=date(2021, 1, 1))
    after = rule("AT", "20", postcode="6020", valid_from=date(2021, 1, 1))
    ordinary = rule("AT")
    innsbruck = Address(country="AT", postcode="A-6020")

    assert RuleSet([special, ordinary]).choose(case(innsbruck, day=date(2020, 8, 1))).rule is special
    assert RuleSet([special, ordinary]).choose(case(innsbruck, day=date(2020, 6, 1))).rule is ordinary
    with pytest.raises(TaxUndecided, match="do not cover"):
        RuleSet([special, ordinary]).choose(case(innsbruck))
    assert RuleSet([special, after, ordinary]).choose(case(innsbruck)).rule is after
    assert RuleSet([ordinary]).choose(case(innsbruck)).rule is ordinary


@pytest.mark.parametrize(
    ("ended", "left", "address"),
    [
        (
            rule("CA", "13", subdivision="CA-ON", valid_to=DAY),
            rule("CA", "5"),
            Address(country="CA", subdivision="CA-ON"),
        ),
        (rule("PT", "16", territory="PT-20", valid_to=DAY), rule("PT", "23"), Address(country="PT", postcode="9500")),
        (rule("EU", "19", priority=1, valid_to=DAY), rule("FR"), Address(country="FR")),
    ],
)
def test_a_nearer_rate_that_ended_is_never_replaced_by_one_further_away(ended, left, address) -> None:
    book = RuleSet([ended, left])

    assert book.choose(case(address, day=DAY - timedelta(1))).rule is ended
    with pytest.raises(TaxUndecided, match="do not cover"):
        book.choose(case(address))


def test_a_rate_with_a_history_gives_way_where_the_seller_is_not_registered() -> None:
    rates = [
        rule("EE", "22", requires_registration="oss", valid_to=DAY),
        rule("EE", "24", requires_registration="oss", valid_from=DAY),
    ]
    at_home = rule("EU", "19", jurisdiction="DE", requires_registration="local")
    estonia = Address(country="EE")

    seller = Seller("S", Address(country="DE"), registrations=(Registration(country="DE"),))
    assert RuleSet([*rates, at_home]).choose(case(estonia, seller=seller)).rule is at_home
    assert RuleSet(rates).choose(case(estonia, seller=seller)) == Choice(None, missing=("oss",))


@pytest.mark.parametrize(
    "planned",
    [
        rule("DE", "16", priority=5, valid_from=DAY + timedelta(30), valid_to=DAY + timedelta(60)),
        rule("DE", "16", postcode="10###", valid_from=DAY + timedelta(30)),
        rule("DE", "16", customer="consumer", requires_registration="oss", valid_from=DAY + timedelta(30)),
        TaxRule("EU", treatment="not_collecting", priority=1, valid_from=DAY + timedelta(30)),
    ],
)
def test_what_is_planned_for_later_changes_nothing_today(planned) -> None:
    today = rule("DE", "19")

    assert RuleSet([today, planned]).choose(case(Address(country="DE", postcode="10115"))).rule is today


def test_a_registration_that_is_planned_with_its_rates_changes_nothing_today() -> None:
    later = date(2027, 1, 1)
    registrations = (Registration(country="DE"), Registration(country="DE", scheme="oss", valid_from=later))
    seller = Seller("S", Address(country="DE"), registrations=registrations)
    below = rule("EU", "19", jurisdiction="DE", requires_registration="local")
    book = RuleSet(
        [below, *(rule(state, "2", requires_registration=("local", "oss"), valid_from=later) for state in ("DE", "FR"))]
    )

    for country in ("DE", "FR"):
        assert book.choose(case(Address(country=country), seller=seller)).rule is below
        after = book.choose(case(Address(country=country), seller=seller, day=later)).rule
        assert after is not None
        assert after.country == country


@pytest.mark.parametrize("elsewhere", [(), (TaxRule("*", treatment="out_of_scope", valid_from=SINCE),)])
def test_a_country_whose_registration_is_planned_is_sold_to_till_then_as_if_it_had_no_rules(elsewhere) -> None:
    planned = rule("NO", "25", requires_registration="local", valid_from=date(2027, 1, 1))
    norway = case(Address(country="NO"))

    assert RuleSet([rule("DE"), planned, *elsewhere]).choose(norway) == RuleSet([rule("DE"), *elsewhere]).choose(norway)
    after = RuleSet([planned, *elsewhere]).choose(case(Address(country="NO"), day=date(2027, 1, 1)))
    assert (after.rule, after.missing) == (None, ("local",))


def test_a_nearer_rule_that_ended_and_never_was_the_sellers_stops_nothing() -> None:
    federal = rule("CA", "5")
    ended = rule("CA", "15", subdivision="CA-QC", requires_registration="state", valid_to=DAY)
    quebec = Address(country="CA", subdivision="CA-QC")
    registrations = (Registration(country="CA"), Registration(country="CA", subdivision="CA-QC"))
    registered = Seller("S", Address(country="CA"), registrations=registrations)

    assert RuleSet([federal, ended]).choose(case(quebec)).rule is federal
    with pytest.raises(TaxUndecided):
        RuleSet([federal, ended]).choose(case(quebec, seller=registered))


def test_a_registration_in_a_territory_is_none_for_a_rule_that_takes_another_countrys_tax() -> None:
    seller = Seller("S", Address(country="DE"), registrations=(Registration(country="PT", subdivision="PT-20"),))
    german = rule("EU", "19", jurisdiction="DE", requires_registration="local")
    azores = rule("PT", "16", territory="PT-20", requires_registration="local")
    there = case(Address(country="PT", postcode="9500-150"), seller=seller)

    assert RuleSet([german]).choose(there) == Choice(None, missing=("local",))
    assert RuleSet([german, azores]).choose(there).rule is azores


@pytest.mark.parametrize(
    ("own", "registration", "address"),
    [
        (
            rule("ES", "7", territory="ES-CN", jurisdiction="ES", requires_registration="local"),
            Registration(country="ES", subdivision="ES-CN"),
            Address(country="ES", postcode="35001"),
        ),
        (
            rule("RE", "8.5", jurisdiction="FR", requires_registration="local"),
            Registration(country="RE"),
            Address(country="RE"),
        ),
        (
            rule("FR", "8.5", territory="RE", jurisdiction="FR", requires_registration="local"),
            Registration(country="RE"),
            Address(country="FR", postcode="97400"),
        ),
    ],
)
def test_the_tax_of_a_territory_may_go_to_the_country_around_it(own, registration, address) -> None:
    around = rule(address.country if address.country != "RE" else "FR", requires_registration="local")
    seller = Seller("S", Address(country="DE"), registrations=(registration,))

    assert RuleSet([own, around]).choose(case(address, seller=seller)).rule is own
    assert RuleSet([own, around]).choose(case(address, seller=SELLERS[1])).missing == ("local",)


def test_a_rate_that_has_not_begun_is_not_replaced_by_one_for_everywhere() -> None:
    elsewhere = TaxRule("*", treatment="out_of_scope", valid_from=SINCE)
    book = RuleSet([rule("FR", valid_from=DAY + timedelta(1)), elsewhere])

    with pytest.raises(TaxUndecided):
        book.choose(case(Address(country="FR")))


def test_a_state_whose_tax_is_not_that_of_its_country_is_named_by_its_territory() -> None:
    with pytest.raises(InvalidRequest, match="ES-CN") as refused:
        check_together([rule("ES", "7", subdivision="ES-CN")])

    assert refused.value.field == "subdivision"
    check_together([rule("PT", "16", subdivision="PT-20")])


def test_what_goes_before_by_priority_decides_although_the_rate_behind_it_ended() -> None:
    reverse = TaxRule(
        "EU", customer="business", tax_id="valid", treatment="reverse_charge", priority=1, valid_from=SINCE
    )
    book = RuleSet([reverse, rule(valid_to=DAY)])
    france = Address(country="FR")

    assert book.choose(case(france, customer="business", has_valid_tax_id=True)).rule is reverse
    with pytest.raises(TaxUndecided):
        book.choose(case(france))


@pytest.mark.parametrize("with_elsewhere", [True, False])
def test_a_place_that_rules_name_is_never_taxed_as_if_none_did(with_elsewhere) -> None:
    elsewhere = [TaxRule("*", treatment="out_of_scope", valid_from=SINCE)] if with_elsewhere else []
    reverse = TaxRule("EU", customer="business", tax_id="valid", treatment="reverse_charge", valid_from=SINCE)
    book = RuleSet([rule("FR", customer="consumer"), reverse, *elsewhere])

    for address, customer in ((Address(country="FR"), "business"), (Address(country="HR"), "consumer")):
        with pytest.raises(TaxUndecided, match="such a customer"):
            book.choose(case(address, customer=customer))
    assert book.choose(case(Address(country="US"))) == Choice(*elsewhere or [None], is_named=with_elsewhere)


def test_an_indian_state_registers_its_sellers_for_sales_to_all_states() -> None:
    within = rule("IN", "9", seller="same_subdivision", requires_registration="local")
    between = rule("IN", "18", seller="other_subdivision", requires_registration="local")
    book = RuleSet([within, between])
    address = Address(country="IN", subdivision="IN-MH")
    registered = Seller("S", address, registrations=(Registration(country="IN", subdivision="IN-MH"),))
    elsewhere = Seller("S", address, registrations=(Registration(country="IN", subdivision="IN-DL"),))

    for state, expected in (("IN-MH", within), ("IN-KA", between)):
        customer = Address(country="IN", subdivision=state)
        assert book.choose(case(customer, seller=registered)).rule is expected
        assert book.choose(case(customer, seller=elsewhere)) == Choice(None, missing=("local",))


def test_a_hole_in_other_rules_does_not_keep_a_rule_out() -> None:
    holed = [rule(valid_to=date(2020, 1, 1)), rule(valid_from=date(2021, 1, 1))]

    check_together([*holed, rule("DE")], fresh=[rule("DE")])
    with pytest.raises(InvalidRequest):
        check_together([*holed, rule("DE")])
    with pytest.raises(InvalidRequest):
        check_together(holed, fresh=holed[1:])


def test_a_reverse_charge_for_the_eu_goes_before_rates_of_its_territories_by_priority() -> None:
    reverse = TaxRule(
        "EU", customer="business", tax_id="valid", treatment="reverse_charge", priority=1, valid_from=SINCE
    )
    madeira = rule("PT", "22", territory="PT-30")
    book = RuleSet([madeira, rule("PT", "23"), reverse])
    funchal = Address(country="PT", postcode="9000-100")

    assert book.choose(case(funchal)).rule is madeira
    assert book.choose(case(funchal, customer="business", has_valid_tax_id=True)).rule is reverse


def test_where_the_seller_is_registered_decides_before_a_rule_for_everywhere() -> None:
    elsewhere = TaxRule("*", treatment="out_of_scope", valid_from=SINCE)
    book = RuleSet([rule("GB", requires_registration="local"), elsewhere])

    assert book.choose(case(Address(country="GB"))) == Choice(None, missing=("local",))


@pytest.mark.parametrize(
    ("registration", "address", "reaches"),
    [
        (Registration(country="FR"), Address(country="FR"), True),
        (Registration(country="FR"), Address(country="MC"), True),
        (Registration(country="DE"), Address(country="FR"), False),
        (Registration(country="DE", scheme="oss"), Address(country="FR"), True),
        (Registration(country="DE", scheme="oss"), Address(country="GB"), False),
        (Registration(country="DE", scheme="oss"), Address(country="FR", postcode="97110"), False),
        (Registration(country="FR"), Address(country="FR", postcode="97110"), False),
        (Registration(country="GP"), Address(country="FR", postcode="97110"), True),
        (Registration(country="ES"), Address(country="ES", postcode="35001"), False),
        (Registration(country="ES", subdivision="ES-CN"), Address(country="ES", postcode="35001"), True),
        (Registration(country="PT", subdivision="PT-20"), Address(country="PT", postcode="9500-150"), True),
        (Registration(country="PT", subdivision="PT-20"), Address(country="PT", postcode="9000-100"), False),
        (Registration(country="PT"), Address(country="PT", postcode="9500-150"), True),
        (Registration(country="FR", valid_from=DAY + timedelta(1)), Address(country="FR"), False),
        (Registration(country="FR", valid_to=DAY), Address(country="FR"), False),
        (Registration(country="FR", valid_from=DAY), Address(country="FR"), True),
        (Registration(country="DE", scheme="small_business"), Address(country="DE"), True),
        (Registration(country="FR", scheme="small_business"), Address(country="FR"), False),
    ],
)
def test_a_registration_reaches_the_places_of_its_scheme(registration, address, reaches) -> None:
    seller = Seller("S", Address(country="DE"), registrations=(registration,))
    schemes = ("local", "oss", "small_business")
    about = case(address, seller=seller)

    assert is_registered(rule("*", requires_registration=schemes), about) is reaches


def test_a_rule_may_require_a_registration_with_the_state_itself() -> None:
    federal, provincial = rule("CA", "5"), rule("CA", "12", subdivision="CA-BC", requires_registration="state")
    book = RuleSet([federal, provincial])
    vancouver = Address(country="CA", subdivision="CA-BC")

    for registrations, expected in (
        ((Registration(country="CA"),), federal),
        ((Registration(country="CA", subdivision="CA-QC"),), federal),
        ((Registration(country="CA", subdivision="CA-BC"),), provincial),
        ((Registration(country="CA", subdivision="CA-BC", valid_to=DAY),), federal),
    ):
        seller = Seller("S", Address(country="CA"), registrations=registrations)
        assert book.choose(case(vancouver, seller=seller)).rule is expected


def test_thousands_of_postal_codes_are_checked_together() -> None:
    codes = [rule("US", postcode=f"{code:05}") for code in range(5000)]
    check_together(codes)

    for other in (rule("US", percent="5", postcode="00042|99999"), rule("US", percent="5", postcode="0004#")):
        with pytest.raises(InvalidRequest) as refused:
            check_together([*codes, other])
        assert refused.value.field == "priority"
        with pytest.raises(InvalidRequest):
            check_together([other, *codes])
    check_together([*codes, rule("US", postcode="1####")])


def test_a_state_may_require_a_registration_of_its_own() -> None:
    seller = Seller("S", Address(country="CA"), registrations=(Registration(country="CA", subdivision="CA-QC"),))
    for state, reaches in (("CA-QC", True), ("CA-BC", False)):
        about = case(Address(country="CA", subdivision=state), seller=seller)
        assert is_registered(rule("CA", subdivision=state, requires_registration="local"), about) is reaches


def test_a_country_by_its_own_code_is_nearer_than_the_one_whose_tax_applies_there() -> None:
    own, around = rule("MC", "5"), rule("FR")

    for book in (RuleSet([own, around]), RuleSet([around, own])):
        assert book.choose(case(Address(country="MC"))).rule is own
        assert book.choose(case(Address(country="FR"))).rule is around


def test_a_tie_that_got_past_the_check_is_never_decided_by_chance() -> None:
    with pytest.raises(TaxUndecided, match="equally near"):
        RuleSet([rule(), rule(percent="5")]).choose(case(Address(country="FR")))


@pytest.mark.parametrize(
    ("seller", "customer", "relation"),
    [
        (Address(country="ES"), Address(country="ES"), "same_country"),
        (Address(country="ES"), Address(country="ES", postcode="35001"), "other_country"),
        (Address(country="ES", postcode="35001"), Address(country="ES", postcode="38001"), "same_country"),
        (Address(country="ES", postcode="35001"), Address(country="ES"), "other_country"),
        (Address(country="FR"), Address(country="MC"), "same_country"),
        (Address(country="DE"), Address(country="DE", postcode="27498"), "other_country"),
        (Address(country="PT"), Address(country="PT", postcode="9000-100"), "same_country"),
        (Address(country="IN", subdivision="IN-MH"), Address(country="IN", subdivision="IN-MH"), "same_subdivision"),
        (Address(country="IN", subdivision="IN-MH"), Address(country="IN", subdivision="IN-KA"), "other_subdivision"),
        (Address(country="IN", subdivision="IN-MH"), Address(country="IN"), "other_subdivision"),
        (Address(country="IN"), Address(country="IN"), "other_subdivision"),
    ],
)
def test_the_sellers_place_is_seen_from_the_customers(seller, customer, relation) -> None:
    relations = case(customer, seller=Seller("S", seller)).relations()

    assert relation in relations
    assert ("same_country" in relations) != ("other_country" in relations)


def test_rank_is_a_tuple_that_compares_as_published() -> None:
    assert rank(rule("*")) < rank(rule("EU")) < rank(rule("FR")) < rank(rule("*", priority=1))


@pytest.mark.parametrize("territory", TERRITORIES, ids=lambda territory: territory.id)
def test_every_territory_says_where_that_is_written_and_can_be_told_from_an_address(territory) -> None:
    assert territory.source
    assert territory.name
    by_code = [Address(country=territory.id)] if territory.has_own_code else []
    by_state = [Address(country=territory.country, subdivision=code) for code in territory.subdivisions]
    assert by_code or by_state or territory.postcodes
    for address in (*by_code, *by_state):
        found = locate(address, DAY)
        assert (found.territory, found.area) == (territory.id, territory.area)


@pytest.mark.parametrize(
    ("address", "territory", "area"),
    [
        (Address(country="ES", postcode="35001"), "ES-CN", ""),
        (Address(country="ES", postcode="E-38 001"), "ES-CN", ""),
        (Address(country="ES", postcode="51001"), "ES-CE", ""),
        (Address(country="ES", postcode="52001"), "ES-ML", ""),
        (Address(country="ES", postcode="350011"), "", "ES"),
        (Address(country="FI", postcode="FIN-22100"), "AX", ""),
        (Address(country="IT", postcode="23041"), "IT-LIV", ""),
        (Address(country="IT", postcode="22061"), "IT-CAM", ""),
        (Address(country="DE", postcode="78266"), "DE-BUS", "CH"),
        (Address(country="DE", postcode="27498"), "DE-HEL", ""),
        (Address(country="GR", postcode="630 86"), "GR-69", ""),
        (Address(country="AT", postcode="6691"), "AT-JUN", "AT"),
        (Address(country="AT", postcode="6992"), "AT-JUN", "AT"),
        (Address(country="PT", postcode="9000-100"), "PT-30", "PT"),
        (Address(country="PT", postcode="9500-100"), "PT-20", "PT"),
        (Address(country="PT", postcode="1990-001"), "", "PT"),
        (Address(country="FR", postcode="97133"), "BL", ""),
        (Address(country="FR", postcode="97150"), "MF", ""),
        (Address(country="FR", postcode="97110"), "GP", ""),
        (Address(country="FR", postcode="98000"), "MC", "FR"),
        (Address(country="GB", postcode="bt1 5gs"), "GB-NIR", "GB"),
        (Address(country="GB", postcode="BT15 1AA"), "GB-NIR", "GB"),
        (Address(country="GB", postcode="B1 1TT"), "", "GB"),
        (Address(country="GB", postcode="JE2 3AB"), "JE", ""),
        (Address(country="EL", postcode="10431"), "", "GR"),
        (Address(country="UK", postcode="SW1A 1AA"), "", "GB"),
        (Address(country="LI"), "LI", "CH"),
        (Address(country="NO", postcode="8099"), "SJ", ""),
        (Address(country="NO", subdivision="NO-22"), "SJ", ""),
        (Address(country="NL", subdivision="NL-BQ1"), "BQ", ""),
        (Address(country="FR", postcode="97098"), "BL", ""),
        (Address(country="ES", postcode="28001", subdivision="ES-GC"), "", "ES"),
        (Address(country="ES", postcode="35001", subdivision="ES-MD"), "", "ES"),
        (Address(country="ES", postcode="35001", subdivision="ES-GC"), "ES-CN", ""),
        (Address(country="DE", postcode="27498", subdivision="DE-SH"), "DE-HEL", ""),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_address_lies_where_its_code_says(address, territory, area) -> None:
    found = locate(address, DAY)

    assert (found.territory, found.area) == (territory, area)


@pytest.mark.parametrize(
    ("area", "day", "inside"),
    [
        ("GB", date(2020, 12, 31), True),
        ("GB", date(2021, 1, 1), False),
        ("HR", date(2013, 6, 30), False),
        ("HR", date(2013, 7, 1), True),
        ("DE", date(1990, 1, 1), True),
        ("CH", DAY, False),
        ("", DAY, False),
    ],
)
def test_who_is_in_the_eu_depends_on_the_day(area, day, inside) -> None:
    assert is_in_eu(area, day) is inside
