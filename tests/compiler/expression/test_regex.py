"""nfa.compiler.expression.regex: a pattern means what it means to `re`, or the user is told why not, and where."""

import json
import marshal
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nfa.compiler.expression import regex
from nfa.compiler.expression.regex import RegexError, compile_pattern
from nfa.daemon.engine.rx import finder

# Letters with a third case (k and the Kelvin sign, s and the long s, i with and without dots), word
# characters without case, and what the assertions look at.
ALPHABET = "abkKsS\u212a\u017fiI\u0130\u0131éÉßẞΣσς世٣0_.- \t\n\U00010400\U00010428"

characters = st.sampled_from(ALPHABET)
literals = characters.map(re.escape)
escapes = st.sampled_from([r"\d", r"\D", r"\w", r"\W", r"\s", r"\S"])
ranges = st.sampled_from(["a-k", "A-Z", "0-9", "à-ö", "Α-Ω", "\0-\uffff", "\U00010400-\U00010427"])
classes = st.builds(
    lambda sign, inside: f"[{sign}{''.join(inside)}]",
    st.sampled_from(["", "^"]),
    st.lists(literals | escapes | ranges, min_size=1, max_size=3),
)
assertions = st.sampled_from(["^", "$", r"\A", r"\Z", r"\b", r"\B"])
singles = literals | escapes | classes | st.just(".")
quantifiers = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{0}", "{1,2}", "{2,}", "{,2}?"])
# Not (?a:...): search disagrees with match there in Python itself ((?a:\W) and É).
openings = st.sampled_from(["(", "(?:", "(?s:", "(?m:", "(?-i:", "(?ims:"])


def compound(parts):
    return st.one_of(
        st.lists(parts, min_size=1, max_size=4).map("".join),
        st.lists(parts, min_size=2, max_size=3).map("|".join),
        st.builds("{}{})".format, openings, parts),
        st.builds("(?:{}){}".format, parts, quantifiers),
        st.builds("{}{}".format, singles, quantifiers),
    )


flags = st.sampled_from(["", "", "", "(?s)", "(?m)", "(?a)"])
patterns = st.builds("{}{}".format, flags, st.recursive(singles | assertions, compound, max_leaves=10))
texts = st.text(characters, max_size=10)


def both(pattern):
    """The searches that a pattern gets: the one chosen for it, and the automaton."""
    plans = compile_pattern(pattern), compile_pattern(pattern, budget=-1)
    return [finder(plan.as_data()).search for plan in plans]


@settings(max_examples=500, deadline=None)
@given(patterns, st.lists(texts, min_size=1, max_size=12))
def test_the_automaton_finds_what_re_finds(pattern, searched):
    """A user's pattern would match other names than the same pattern does everywhere else."""
    for find in both(pattern):
        for text in searched:
            if text or "\\B" not in pattern:  # what \B says of an empty string changed in Python 3.14
                assert find(text) == bool(re.search(pattern, text, re.IGNORECASE)), text


@pytest.mark.parametrize(
    ("pattern", "kind", "matches", "others"),
    [
        (r"^(www|api)\.", "re", ["www.example.com", "API.example.com"], ["x.www.example.com", "wwwx"]),
        (r"\.netflix\.com$", "re", ["www.netflix.com", "a.NetFlix.com\n"], ["netflix.com", "a.netflix.com."]),
        (r"google.*video", "dfa", ["googlevideo.com", "Google-x-VIDEO"], ["videogoogle", "google\nvideo"]),
        (r".*youtube.*", "re", ["youtube", "m.YouTube.com", "\nyoutube"], ["youtub.e", ""]),
        (r".+youtube.+", "re", ["m.youtube.com"], ["youtube.com", "m.youtube", "\nyoutube.com"]),
        (r"^[a-z0-9-]+\.example\.(com|org)$", "re", ["a-1.example.org"], ["a.b.example.org", ".example.com"]),
        (r"ads?[0-9]*\.", "dfa", ["ad.x", "ADS7.x", "ads12.x"], ["adx.", "ads"]),
        (r"\bads\b", "re", ["x-ads.com", "ADS"], ["loads.com", "ads_"]),
        (r"straße|ſong|ΣΊΣΥΦΟΣ", "re", ["STRAẞE", "SONG", "song", "σίσυφος"], ["strasse"]),
        (r"^([a-z0-9-]+\.)+example\.com$", "dfa", ["a.b.Example.com"], ["example.com", "a..example.com"]),
        (r"com\Z", "re", ["example.com"], ["com\n", "com.x"]),
        (r"^a$", "re", ["a", "A\n"], ["a\n\n", "\na"]),
        (r"(?m)^a$", "re", ["a", "b\na\nb"], ["ab\nba"]),
        (r"^(ab|c){300}$", "dfa", ["c" * 300, "ab" * 150 + "C" * 150], ["c" * 299, "ab" * 301]),
        (r"(?-i:Ads)(?s:.)x", "re", ["Ads\nX"], ["ads.x"]),
        (r"", "re", ["", "x"], []),
        (r"(?x) ads # .*", "re", ["ads"], ["ad"]),
        (r"(?x)#.*", "re", ["", "x"], []),
        (r"(?s)(?:.)+", "dfa", ["x", "\n"], [""]),
        (r"\.*", "dfa", ["", "x"], []),
    ],
)
def test_ordinary_patterns(pattern, kind, matches, others):
    """What users write would not match the names they mean, or would be slow without need."""
    assert compile_pattern(pattern).kind == kind
    for find in both(pattern):
        assert [text for text in matches if not find(text)] == []
        assert [text for text in others if find(text)] == []


def test_a_long_list_of_names_is_not_too_large():
    """A user with a few hundred names in one pattern would be told to split it."""
    names = [f"host{number}.example-{number % 7}.com" for number in range(150)]
    for find in both("|".join(f"^{name}$" for name in names)):
        assert all(map(find, names))
        assert not find("host150.example-3.com")


def test_the_user_learns_of_a_pattern_that_could_backtrack_badly():
    """Nobody would know that a pattern is risky elsewhere; harmless ones must not be blamed."""
    assert "linear-time automaton" in compile_pattern("(a+)+$").note
    assert compile_pattern(r"\.com$").note == compile_pattern("google.*video").note == ""


@pytest.mark.parametrize(
    ("pattern", "offset", "words"),
    [
        (r"[(?=]x(?=y)", 6, "look-around"),
        (r"\(?!x(?<!y)z", 5, "look-around"),
        (r"(?#(?!)ab(?!)", 9, "look-around"),
        (r"(a)\\\1", 5, "back-references"),
        (r"(?P<x>a)(?P=x)", 8, "back-references"),
        (r"(a)?(?(1)b|c)", 4, "conditions"),
        (r"a(?>b+)c", 1, "atomic"),
        (r"[a+]++b", 4, "possessive"),
        (r"ab(c", 2, "unterminated"),
        (r"a**", 2, "multiple repeat"),
        (r"(?a)(?u)x", None, "incompatible"),
        (r"x{99999999999}", None, "too large"),
        ("(" * 3000 + ")" * 3000, None, "nested too deeply"),
        ("(" * 150 + "a" + ")*" * 150 + "(" * 3000, None, "nested too deeply"),
    ],
)
def test_what_is_refused_says_why_and_where(pattern, offset, words):
    """The user would look for the mistake in the wrong place, or the compiler would end with a traceback."""
    with pytest.raises(RegexError, match=words) as caught:
        compile_pattern(pattern)
    assert caught.value.offset == offset


@pytest.mark.parametrize("pattern", ["(a{1000}){1000}", "(((a{9}){9}){9}){9}", "(a|bc)?(d|ef)*" * 320, r"(\ba|\B)" * 320])
def test_too_large_patterns_are_refused(pattern):
    """A pattern could take all memory of the router, or milliseconds for each character."""
    with pytest.raises(RegexError, match="too large"):
        compile_pattern(pattern)


@pytest.mark.parametrize("pattern", ["(){1000000000}x", "((){999999}){999999}", "((a?){9}){9}", "((?:^)*)*"])
def test_empty_repeats_compile_at_once(pattern):
    """A pattern that repeats nothing would keep the compiler busy for ever."""
    assert all(find("x") for find in both(pattern))


@pytest.mark.parametrize("pattern", [r"\.netflix\.com$", r"(\w+\.)+É\b", "(a|b)*a(a|b){500}$"])
def test_the_image_keeps_a_plan(pattern):
    """The daemon would load something else than the compiler wrote."""
    data = compile_pattern(pattern).as_data()
    assert marshal.loads(marshal.dumps(data)) == data
    assert json.loads(json.dumps(data)) == data


def test_no_character_with_case_is_overlooked():
    """A future Unicode version could add a letter whose other case would not match."""
    above = map(chr, range(0x20000, sys.maxunicode + 1))
    assert [character for character in above if character.lower() != character.upper()] == []


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("ab.*+?"), max_size=12), st.text("ab\n", max_size=6))
def test_trimming_changes_no_search(pattern, text):
    """.* at an end is dropped for speed; a user's pattern would lose or gain matches."""
    try:
        expected = re.search(pattern, text)
        plan = compile_pattern(pattern, budget=regex.NOTEWORTHY**4)
    except (re.error, RegexError):
        return
    assert finder(plan.as_data()).search(text) == bool(expected)
