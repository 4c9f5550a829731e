"""What a user reads when something is wrong."""

from nfa.compiler.base.report import Place, Report, Reports, did_you_mean, excerpt, nearest, printable, quote


def test_text_has_place_message_hint_and_consequence_on_one_line() -> None:
    """A user could not tell where the mistake is, or what the daemon does now."""
    report = Report("bad-value", "error", Place("f.json", 3, 7), "bad 'ttl'", "did you mean 'x'?", "the target is left out")
    assert report.text() == "f.json:3:7: error: bad 'ttl'. Did you mean 'x'? The target is left out"


def test_a_file_as_a_whole_has_no_line() -> None:
    """A missing file would be reported at line 0."""
    assert Report("bad-value", "error", Place("f.json", 0, 0), "no such file").text() == "f.json: error: no such file"
    assert Report("empty-file", "info", None, "nothing").text() == "info: nothing"


def test_hostile_text_cannot_move_the_cursor() -> None:
    """A file name or value with escape sequences would write over the terminal."""
    reports = Reports()
    reports.error("bad-value", Place("a\x1b[2J", 1, 1), "\r\x9b'\u202e", hint="\n", excerpt="\x1b[31m\n\x07^")
    text = reports.items[0].text()
    assert all(char.isprintable() for line in text.split("\n") for char in line)
    assert len(text.split("\n")) == 3
    assert printable("\ud800") == "\\ud800"


def test_reports_take_the_excerpt_from_the_source() -> None:
    """The user would have to count columns."""
    reports = Reports()
    reports.add_source("f", '{\n\t"a": 1,\n}')
    reports.error("bad-value", Place("f", 2, 8), "trailing comma")
    assert reports.items[0].excerpt == '     "a": 1,\n           ^'
    reports.error("bad-value", Place("f", 9, 1), "behind the end")
    assert reports.items[1].excerpt == ""


def test_excerpt_of_a_minified_file_is_cut_around_the_caret() -> None:
    """A file without line breaks would fill the screen."""
    line, caret = excerpt("x" * 5000 + "!" + "y" * 5000, 5001).split("\n")
    assert len(line) < 120
    assert line[caret.index("^")] == "!"


def test_excerpt_keeps_the_caret_under_its_character_after_escapes() -> None:
    """Escaping makes a line longer; the caret would point at the wrong character."""
    line, caret = excerpt("\x01\x02!", 3).split("\n")
    assert line[caret.index("^")] == "!"


def test_severities_are_kept_apart() -> None:
    """`nfa check` would fail on an info, or pass on an error."""
    reports = Reports()
    reports.info("not-looked-at", None, "i")
    reports.warning("no-action", None, "w")
    reports.error("bad-value", None, "e")
    assert [report.message for report in reports.errors] == ["e"]
    assert [report.message for report in reports.warnings] == ["w"]
    assert reports.items[0].as_dict()["severity"] == "info"


def test_nearest_ignores_case_and_survives_long_words() -> None:
    """A typo would be reported without the name that was meant, or a huge one would hold up the compiler."""
    assert nearest("PRIORTY", ["priority", "enabled"]) == ["priority"]
    assert nearest("x" * 1_000_000, ["priority"]) == []
    assert did_you_mean("gzz", ["json", "gz"]).startswith("did you mean 'gz'")
    assert did_you_mean("qqq", ["json", "gz"]) == "known: json, gz"
    assert len(quote("x" * 500)) < 70
