"""The reader of UCI's file format: what libuci reads, refuses and forgives, and where everything stands."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from uci_samples import READ, REFUSED, SAMPLE, S, Sections, texts

from nfa.compiler.base.report import Reports
from nfa.compiler.config.model import Text
from nfa.compiler.config.ucitext import UciError, UciSection, parse


def read(text: str) -> tuple[list[UciSection], Reports]:
    reports = Reports()
    return parse(text, "file", "pkg", reports), reports


def plain(sections: list[UciSection]) -> Sections:
    return [
        (
            section.type.value,
            section.name.value,
            {
                name: tuple(text.value for text in option.value) if isinstance(option.value, list) else option.value.value
                for name, option in section.options.items()
            },
        )
        for section in sections
    ]


@pytest.mark.parametrize("name", READ)
def test_files_mean_what_they_mean_to_libuci(name: str) -> None:
    """A router with libuci and one without would apply different policies."""
    text, expected = READ[name]
    sections, _ = read(text)
    assert plain(sections) == expected
    for (_, _, options), (_, _, wanted) in zip(plain(sections), expected, strict=True):
        assert list(options) == list(wanted)


@pytest.mark.parametrize("name", REFUSED)
def test_what_libuci_refuses_is_refused_with_its_place(name: str) -> None:
    """The user would be told that something is wrong in a file of a hundred lines, but not where."""
    text, line, column, words = REFUSED[name]
    with pytest.raises(UciError) as caught:
        read(text)
    reports = Reports()
    reports.error(caught.value.code, caught.value.place, str(caught.value), hint=caught.value.hint)
    assert reports.items[0].text().startswith(f"file:{line}:{column}: error: "), reports.items[0].text()
    assert words in reports.items[0].text()


def test_the_sample_of_the_documentation_is_read() -> None:
    """Who copies the sample would be told that it is wrong."""
    sections, reports = read(SAMPLE.read_text())
    assert not reports.items
    assert [(section.type.value, section.name.value) for section in sections] == [
        *(("target", name) for name in ("log_games", "log_external", "sink_games", "ipset_games")),
        *(("target", name) for name in ("ctlabel_auto", "ctlabel_games", "nftset_games")),
        *(("target_default", name) for name in ("log", "ipset", "nftset", "sink")),
        *(("action", name) for name in ("games", "external", "auto_label")),
        *(("exemption", name) for name in ("playstation", "global")),
    ]
    assert plain(sections)[11][2]["halt_on_match"] == ("1",)
    assert plain(sections)[13][2]["criteria"] == "*"


# -- places ------------------------------------------------------------------------------------------------------------


def text_of(sections: list[UciSection], option: str, index: int = 0) -> Text:
    value = sections[0].options[option].value
    return value[index] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("value", "places"),
    [
        ("abc", [(2, 10), (2, 11), (2, 12), (2, 13)]),
        ("'abc'", [(2, 11), (2, 12), (2, 13), (2, 14)]),
        ("a'b'c", [(2, 10), (2, 12), (2, 14), (2, 15)]),
        ('"a\\"c"', [(2, 11), (2, 13), (2, 14), (2, 15)]),
        ("a\\\nbc", [(2, 10), (3, 1), (3, 2), (3, 3)]),
        ("'ü\nb'", [(2, 11), (2, 12), (3, 1), (3, 2)]),
        ("\\\n'a\nb'", [(3, 2), (3, 3), (4, 1), (4, 2)]),
    ],
)
def test_every_character_of_a_value_has_its_place(value: str, places: list[tuple[int, int]]) -> None:
    """The caret under a wrong expression would point at something else."""
    sections, _ = read(S + f"option a {value}\n")
    text = text_of(sections, "a")
    found = [text.at(offset) for offset in range(len(text.value) + 1)]
    assert [(place.line, place.column) for place in found] == places
    assert {place.option for place in found} == {"pkg.s.a"}


def test_places_have_the_names_that_users_of_uci_know() -> None:
    """A user of `uci set` does not count lines."""
    sections, _ = read("config t 's'\n\tlist l 'x'\n\tlist l ''\nconfig t\n\toption o 'y'\n")
    assert str(sections[0].name.place) == "pkg.s (line 1)"
    assert str(sections[0].options["l"].name.place) == "pkg.s.l (line 2)"
    assert str(text_of(sections, "l", 1).place) == "pkg.s.l (line 3)"
    assert str(sections[1].name.place) == "pkg.cfg02b619 (line 4)"
    assert str(sections[1].options["o"].name.place) == "pkg.cfg02b619.o (line 5)"
    assert [section.anonymous for section in sections] == [False, True]


def test_a_section_in_two_parts_stands_where_it_begins() -> None:
    """A later message would point at the part that does not hold the option."""
    sections, _ = read(S + "option a 1\nconfig t r\nconfig t s\noption a 2\nlist l x\n")
    assert str(sections[0].name.place) == "pkg.s (line 1)"
    assert (str(text_of(sections, "a").place), str(text_of(sections, "l").place)) == ("pkg.s.a (line 5)", "pkg.s.l (line 6)")


# -- slips that libuci forgives ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("option a 1\noption a 2\n", "pkg.s.a (line 3): warning: 'a' is given twice, first at pkg.s.a (line 2)"),
        ("list a 1\noption a 2\n", "'a' is given twice"),
        ("option a b#c\n", "file:2:11: warning: the value ends at this '#', and the rest of the line is lost"),
        ("option a b;c\n", "file:2:11: warning: the value ends at this ';', and the rest of the line is lost"),
        ("option a 'b\noption c 'd\n", "'option' here is part of the value that begins on line 2. Is a quote missing"),
        ("list l x\nconfig t s\nlist l x\n", "section 's' is given twice, and UCI joins its lists"),
    ],
)
def test_a_slip_that_loses_something_is_a_warning(text: str, words: str) -> None:
    """libuci drops a part of the configuration and says nothing."""
    _, reports = read(S + text)
    (warning,) = reports.warnings
    assert words in warning.text()


@pytest.mark.parametrize(
    "text",
    ["option a 1\noption a 1\n", "option a b;\n", "option a 'b' # c\n", "option a b # c\n", "option a 'b\nc'\n"],
)
def test_what_may_be_meant_is_no_warning(text: str) -> None:
    """Warnings about nothing teach the user to read none."""
    assert not read(S + text)[1].items


@settings(max_examples=400, deadline=None)
@given(texts())
def test_no_text_ends_the_reader(text: str) -> None:
    """A strange file would end the compiler with a traceback."""
    lines = text.count("\n") + 1
    try:
        sections, _ = read(text)
    except UciError as error:
        assert 1 <= error.place.line <= lines
        return
    for section in sections:
        for option in section.options.values():
            for value in option.value if isinstance(option.value, list) else [option.value]:
                places = [value.at(offset) for offset in range(len(value.value))]
                source = text.split("\n")
                for char, place in zip(value.value, places, strict=True):
                    line = source[place.line - 1] + "\n"
                    assert line[place.column - 1] == char
