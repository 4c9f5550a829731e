"""The JSON reader: the same values as the standard library, and places and messages it does not give."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfa.compiler.base.report import Reports
from nfa.compiler.config.jsontext import MAX_DEPTH, JsonError, Object, Value, parse
from nfa.compiler.config.model import Text

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4))
# Texts that are nearly JSON find more than random characters do.
NEARLY = st.text(st.sampled_from("{}[],:\"'\\/ntu0019.eE+-truefalsn \n\t#\ud83d\ude00d8é\x00"), max_size=40)


def read(text: str) -> Value:
    return parse(text, "f.json", Reports())


def problem(text: str) -> JsonError:
    with pytest.raises(JsonError) as caught:
        read(text)
    return caught.value


@given(JSON, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_valid_json_reads_as_the_standard_library_reads_it(value: object, ascii_only: bool, indent: int | str | None) -> None:
    """A configuration would mean something else here than in every other program."""
    assert read(json.dumps(value, ensure_ascii=ascii_only, indent=indent)).plain() == value


@given(st.text() | NEARLY | JSON.map(json.dumps).map(lambda text: text[: len(text) // 2 + 1]))
def test_any_text_is_read_as_json_loads_does_or_refused(text: str) -> None:
    """A damaged file would end the compiler with a traceback."""
    try:
        ours = read(text).plain()
    except JsonError as error:
        assert error.place.line >= 1
        assert error.place.column >= 1
        try:
            theirs = json.loads(text)
        except ValueError:
            return
        # What we refuse on purpose.
        assert any(word in str(error) for word in ("surrogate", "not a JSON number", "not a JSON value")), theirs
    else:
        assert ours == json.loads(text.removeprefix("\ufeff"))


@given(st.text(), st.booleans(), st.data())
def test_every_character_of_a_string_knows_its_place(value: str, ascii_only: bool, data: st.DataObject) -> None:
    """An error in an expression behind an escape would point at the wrong character."""
    document = '{\n  "criteria": ' + json.dumps(value, ensure_ascii=ascii_only) + "}"
    top = read(document).value
    assert isinstance(top, Object)
    text = top.members[0][1].value
    assert isinstance(text, Text)
    line = document.split("\n", 1)[1]
    for offset, char in enumerate(value):
        place = text.at(offset)
        assert place.line == 2
        raw = line[place.column - 1 : text.at(offset + 1).column - 1]
        assert json.loads(f'"{raw}"') == char
    assert line[text.at(len(value)).column - 1] == '"'


def test_places_count_characters_and_lines() -> None:
    """Reports would point beside the mistake in files with umlauts or CRLF."""
    top = read('\ufeff{\r\n "ü": "é", "b": [1,\n2]}').value
    assert isinstance(top, Object)
    (_, first), (name, second) = top.members
    assert (str(first.place), str(name.place), str(second.place)) == (
        "f.json:2:7",
        "f.json:2:13",
        "f.json:2:17",
    )
    assert isinstance(second.value, list)
    assert str(second.value[1].place) == "f.json:3:1"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", "1:1", "the file is empty"),
        (" \n ", "1:1", "the file is empty"),
        ('{"a": 1,}', "1:8", "trailing comma before '}'"),
        ("[1,\n2,\n]", "2:2", "trailing comma before ']'"),
        ('{"a": {}\n "target_globals": {}}', "2:2", "missing comma before 'target_globals'"),
        ("[1 2]", "1:4", "missing comma before '2'"),
        ('{"a": "b\n}', "1:7", "unterminated string"),
        ('{"a": "b', "1:7", "unterminated string"),
        ("{'a': 1}", "1:2", "single quotes"),
        ("{\"a\": 'b'}", "1:7", "single quotes"),
        ('{"a": 1 // b\n}', "1:9", "comments"),
        ("# b\n{}", "1:1", "comments"),
        ('{"a": /* b */ 1}', "1:7", "comments"),
        ("{a: 1}", "1:2", "'a' has no double quotes"),
        ('{"a": yes}', "1:7", "'yes' has no double quotes"),
        ('{"a": True}', "1:7", "'True' is not a JSON value"),
        ('{"a" 1}', "1:6", "missing ':' after the name 'a'"),
        ('{"a": [1, 2}', "1:12", "'}' where ']' must close the array opened at f.json:1:7"),
        ('{"a": 1', "1:8", "the object opened at f.json:1:1 is not closed"),
        ('{"a":', "1:6", "the file ends here"),
        ("{}}", "1:3", "unmatched '}'"),
        ("{} {}", "1:4", "text after the end"),
        ('{"a": ...}', "1:7", "stands for something left out"),
        ('["a"b"]', "1:5", "expected ',' or ']', found 'b'"),
        ("[1,,2]", "1:4", "a comma with nothing before it"),
        ("[012]", "1:2", "'012' is not a JSON number"),
        ("[0x1f]", "1:2", "'0x1f' is not a JSON number"),
        ("[1.]", "1:2", "'1.' is not a JSON number"),
        ("[NaN]", "1:2", "'NaN' is not a JSON number"),
        ('["\\ud83d"]', "1:2", "half of a surrogate pair"),
        ('["rx:\\."]', "1:6", "invalid escape"),
        ('["a\tb"]', "1:4", "a control character"),
        ("[" * (MAX_DEPTH + 1), f"1:{MAX_DEPTH + 1}", "nested more than"),
        ("[" + "9" * 5000 + "]", "1:2", "5000 digits is too long"),
        ('[" ', "1:2", "unterminated string"),
    ],
)
def test_mistakes_are_named_where_they_are(text: str, place: str, message: str) -> None:
    """The user would be told "expecting ',' delimiter" somewhere behind the mistake."""
    error = problem(text)
    assert (str(error.place), message in str(error)) == (f"f.json:{place}", True), str(error)


def test_a_quote_inside_a_string_gets_the_hint_that_helps() -> None:
    """Double quotes in an expression are the usual mistake after copying it from UCI."""
    assert problem('{"criteria": "app == "youtube";"}').hint == 'write a double quote inside a string as \\"'


def test_a_repeated_key_is_a_warning_and_the_later_one_wins() -> None:
    """One of two actions of the same name would vanish silently."""
    reports = Reports()
    value = parse('{"a": 1, "b": 2,\n "a": 3}', "f.json", reports)
    assert value.plain() == {"a": 3, "b": 2}
    assert [str(report.place) for report in reports.warnings] == ["f.json:2:3"]
    assert "first at f.json:1:3" in reports.warnings[0].message


def test_huge_exponents_are_read_as_the_standard_library_does() -> None:
    """A number out of range is refused by the property, which can say what it expected."""
    assert read("1e999").plain() == math.inf
