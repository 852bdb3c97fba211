"""Names of hosts: the number is in the name, and whoever is in a rack has the rack in its name."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fleet.scenario.names import DIGITS_MAX, NamePattern, Numeral, matching, name_pattern, shared_name

fixed = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), max_size=12)
widths = st.integers(0, DIGITS_MAX)

RACKS = "r{region}-w{row}-k{rack:03d}-h{host:02d}"
racks = st.sampled_from(
    [RACKS, "{region}.{row}.{rack}.{host}", "k{rack}h{host}.9", "a{host:03d}", "w{row:02d}-{host}x"]
)
sizes = st.tuples(*(st.integers(1, 4),) * 3, st.integers(1, 30))


def flat(before, width, after):
    return NamePattern((Numeral(before, width),), after)


patterns = st.builds(flat, fixed, widths, fixed)


def counting(text, of):
    """A pattern, and as many of each level as it names."""
    named = {numeral.level for numeral in name_pattern(text).numerals}
    used = [
        size if level in named else 1 for level, size in zip(("region", "row", "rack", "host"), of, strict=True)
    ]
    total = used[0] * used[1] * used[2] * used[3]
    return name_pattern(text).counting(used), total


@given(patterns, st.integers(0, 10**9))
def test_a_number_is_in_the_name_that_was_made_of_it(pattern, number):
    assert pattern.number(pattern.name(number)) == number


@given(patterns, st.text(max_size=30) | st.integers(0, 10**22).map(str))
def test_any_name_has_a_number_only_if_it_was_made_of_it(pattern, name):
    number = pattern.number(name)

    assert number == -1 or pattern.name(number) == name


@given(fixed, st.integers(0, DIGITS_MAX), fixed)
def test_a_pattern_says_where_the_number_stands(before, width, after):
    text = f"{before}{{:0{width}d}}{after}" if width else f"{before}{{}}{after}"

    assert name_pattern(text).text == text
    assert name_pattern(text) == flat(before, width, after)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        "{",
        "{}{}",
        "{:4d}",
        "{:04x}",
        "{0}",
        "{}}",
        "{:0d}",
        "{:021d}",
        "{hose}",
        "{host}{}",
        "{rack}-{row}",
        "{row}-{row}",
        "{row}{rack}",
        "{row}1-{rack}",
        "{row}-1{rack}",
    ],
)
def test_another_pattern_is_refused(text):
    with pytest.raises(ValueError, match="expected"):
        name_pattern(text)


def test_a_name_has_the_number_of_each_level():
    pattern, _ = counting(RACKS, (2, 10, 25, 20))

    assert pattern.name(0) == "r0-w0-k000-h00"
    assert pattern.name(((1 * 10 + 3) * 25 + 12) * 20 + 7) == "r1-w3-k012-h07"
    assert pattern.number("r1-w3-k012-h07") == 6747
    assert pattern.number("r1-w3-k025-h07") == -1, "a row has 25 racks"


@given(racks, sizes)
def test_levels_are_read_back_from_a_name(text, of):
    pattern, total = counting(text, of)
    names = [pattern.name(number) for number in range(total)]

    assert len(set(names)) == total
    assert [pattern.number(name) for name in names] == list(range(total))


@given(racks, sizes, st.integers(0, 10**6))
def test_a_group_can_be_stretched_beyond_its_size(text, of, number):
    pattern, _ = counting(text, of)

    assert pattern.number(pattern.name(number)) == number


@pytest.mark.parametrize(("text", "of"), [("h{host}", (2, 1, 1, 5)), ("r{region}-k{rack}", (2, 1, 3, 2))])
def test_a_level_of_several_must_be_named(text, of):
    with pytest.raises(ValueError, match="expected a place for the"):
        name_pattern(text).counting(of)


shells = st.text(st.sampled_from("*?[]0123rwkh-!"), max_size=14)


@given(
    racks,
    sizes,
    shells | st.sampled_from(["*", "r1-*", "r*-h01", "r0-w[12]-k00?-*", "r0-w0*", "*9", "r0-w0-k00*"]),
)
@example(RACKS, (2, 2, 2, 2), "r1-w0-k001-h01")
def test_a_shell_pattern_finds_exactly_the_names_that_match(text, of, shell):
    pattern, total = counting(text, of)

    assert list(matching(pattern, total, shell)) == [
        number for number in range(total) if fnmatchcase(pattern.name(number), shell)
    ]


@given(patterns, patterns, st.integers(1, 40), st.integers(1, 40))
def test_a_name_that_two_groups_share_is_found(one, other, size, other_size):
    assume(one != other)
    names = {one.name(number) for number in range(size)} & {other.name(number) for number in range(other_size)}
    found = shared_name([(one, size), (other, other_size)])

    assert found in names if names else found == ""
