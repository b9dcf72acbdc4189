"""TaskRouter's expressions, read and held against a worker's attributes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector.taskrouter.expression import MAX_DEPTH, MAX_LENGTH, Unreadable, matches, parse

ANN: dict[str, Any] = {
    "language": "en",
    "languages": ["en", "es"],
    "skill_rating": 5.5,
    "level": 3,
    "active": True,
    "boss": None,
    "skills": ["support", "sales"],
    "routing": {"skills": ["chat"], "levels": {"chat": 2}},
    "object": {"array": ["a", "b", "c"], "attr": "bar"},
    "contact_uri": "client:ann",
    "name": 'the "one"',
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        # what the reference page shows
        ("1 == 1", True), ("0 != 1", True), ('"apple" != "orange"', True), ("skill_rating > 1", True), ('object.attr != "apple"', True),
        ('language IN ["en", "es"]', True), ("(active == true) OR (boss == true)", True),
        ('(language == "en" OR language == "fr") AND skill_rating >= 5.1', True), ("(skills HAS 'support') AND (languages HAS 'english')", False),
        ("object.array[2] == 'c'", True), ("object.array[3] == 'c'", False), ("object.array HAS 'c'", True),
        # Flex writes such
        ("routing.skills HAS 'chat' AND routing.levels.chat > 1", True), ("routing.levels.chat >= 3", False),
        # spellings
        ("1==1", True), ("level = 3", True), ("level <> 3", False), ("language in ['en']", True), ("language not in ['en']", False),
        ("LANGUAGE == 'en'", False), ("active == TRUE", True), ("active == false", False), ("name == 'the \"one\"'", True),
        (r"name == 'the \"one\"'", True), (r"'it\'s' == \"it's\"".replace('\\"', '"'), True), ("level == 3.0", True), ("level > -1", True),
        # lists
        ("'en' IN languages", True), ("'fr' NOT IN languages", True), ("languages CONTAINS 'es'", True), ("contact_uri CONTAINS 'ann'", True),
        ("languages == ['en', 'es']", True), ("languages == ['es', 'en']", False), ("language HAS 'en'", False), ("language IN []", False),
        ("language IN [object.attr, 'en']", True),
        # AND binds closer than OR
        ("1 == 1 OR 1 == 1 AND 1 == 2", True), ("(1 == 1 OR 1 == 1) AND 1 == 2", False),
        # what is not there is null
        ("nobody == null", True), ("boss == null", True), ("nobody == boss", True), ("nobody HAS 'x'", False), ("nobody > 1", False),
        ("nobody != 'x'", True), ("nobody.knows.this == null", True), ("language.length == null", True), ("object[0] == null", True),
        ("languages.en == null", True), ("nobody NOT IN ['x']", True),
        # different types are never equal and never in order
        ("level == '3'", False), ("level != '3'", True), ("level < '4'", False), ("active == 1", False), ("active == 'true'", False),
        ("1 IN [true]", False), ("languages > 1", False), ("'a' < 'b'", True), ("false < true", True), ("null <= null", False),
    ],
)  # fmt: skip
def test_an_expression_holds_or_not(text: str, holds: bool) -> None:
    """Each over the same worker."""
    assert matches(parse(text), ANN) is holds


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "At character 1 there should be a value or a key."),
        ("   ", "At character 1 there should be a value or a key."),
        ("level", "At character 6 there should be a comparison."),
        ("level ==", "At character 9 there should be a value or a key."),
        ("level == 1 level == 2", "At character 12 there should be AND, OR or the end."),
        ("(level == 1", "At character 12 there should be )."),
        ("level == 1)", "At character 11 there should be AND, OR or the end."),
        ("level NOT HAS 1", "At character 11 there should be IN."),
        ("NOT level == 1", "At character 1 there should be a value or a key."),
        ("first-name == 'x'", "Character 6 begins nothing that TaskRouter's expressions have."),
        ("name == 'x", "Character 9 begins nothing that TaskRouter's expressions have."),
        ("level % 2 == 0", "Character 7 begins nothing that TaskRouter's expressions have."),
        ("level == 1x", "Character 10 begins nothing that TaskRouter's expressions have."),
        ("languages[x] == 1", "At character 11 there should be a place in the list."),
        ("languages[9999999999] == 1", "At character 11 there should be a place in the list."),
        ("a. == 1", "At character 4 there should be a name."),
        ("a IN ['x' 'y']", "At character 11 there should be ,."),
        ("a IN ['x',]", "At character 11 there should be a value or a key."),
        ("a == b == c", "At character 8 there should be AND, OR or the end."),
        ("(" * (MAX_DEPTH + 1) + "1 == 1" + ")" * (MAX_DEPTH + 1), "It is nested deeper than 64."),
        ("a == " + "[" * (MAX_DEPTH + 1), "It is nested deeper than 64."),
        ("a" * (MAX_LENGTH + 1), "It has 8193 characters; at most 8192 are read."),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told(text: str, told: str) -> None:
    """By its place, never by its text."""
    with pytest.raises(Unreadable) as error:
        parse(text)
    assert str(error.value) == told


WORDS = [
    "(",
    ")",
    "[",
    "]",
    ",",
    ".",
    "==",
    "<",
    "HAS",
    "IN",
    "NOT",
    "AND",
    "OR",
    "CONTAINS",
    "languages",
    "object",
    "'en'",
    '"',
    "1",
    "-2.5",
    "true",
    "null",
]


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)))
def test_any_text_is_read_or_told_unreadable(text: str) -> None:
    """It may come out of a callback, so nothing else may be raised, and what is read is true or false."""
    try:
        expression = parse(text)
    except Unreadable:
        return
    assert matches(expression, ANN) in (True, False)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.sampled_from(["", "a", "ab", "en"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@given(json_values, json_values)
def test_operators_agree_with_each_other(left: Any, right: Any) -> None:
    """`!=` is not `==`, `NOT IN` is not `IN`, `IN` is `HAS` turned round, and an order is one."""

    def holds(text: str) -> bool:
        return matches(parse(text), {"a": left, "b": right})

    assert holds("a == a")
    assert holds("a == b") is holds("b == a")
    assert holds("a == b") is not holds("a != b")
    assert holds("a IN b") is not holds("a NOT IN b")
    assert holds("a IN b") is holds("b HAS a")
    assert not holds("a HAS b") or holds("a CONTAINS b")
    assert holds("a < b") is holds("b > a")
    assert not (holds("a < b") and holds("a >= b"))
    assert holds("a <= b") is holds("a < b OR a <= b AND a == b")


@st.composite
def trees(draw: Any, depth: int = 3) -> tuple[str, bool]:
    """An expression of conditions known to hold or not, in as few parentheses as needed or more; and whether it holds."""
    if depth == 0:
        truth = draw(st.booleans())
        return ("1 == 1" if truth else "1 == 2"), truth
    joined, join = draw(st.sampled_from([("AND", all), ("OR", any)]))
    parts = draw(st.lists(trees(depth - 1), min_size=1, max_size=3))
    return f" {joined} ".join(f"({text})" for text, _ in parts), join(truth for _, truth in parts)


@given(trees())
def test_conditions_are_joined_as_they_stand(tree: tuple[str, bool]) -> None:
    """AND, OR and parentheses, however deep."""
    text, truth = tree
    assert matches(parse(text), {}) is truth
