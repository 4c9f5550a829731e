"""The UCI configuration: what its sections mean, with libuci and without, and what is said of slips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from uci_samples import SAMPLE

from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Place, Reports
from nfa.compiler.config import libuci, uciconfig
from nfa.compiler.config.convert import Context, boolean
from nfa.compiler.config.features import BROKEN, inactive_code
from nfa.compiler.config.jsontext import Value
from nfa.compiler.config.model import Policy, Text, Window
from nfa.compiler.config.sources import Sources, load

Loaded = tuple[Policy | None, Reports]
LoadUci = Callable[[str | bytes], Loaded]

MINIMAL = """\
config action 'a'
	list criteria "app == 'x';"
	list target 'l'

config target 'l'
	option target_type 'log'
"""


@pytest.fixture(params=["libuci", "own reader"], autouse=True)
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test here runs twice: with libuci, where it is, and as on a machine without it."""
    if request.param == "libuci" and libuci.Uci is None:
        pytest.skip("needs pyuci")
    if request.param != "libuci":
        monkeypatch.setattr(libuci, "Uci", None)
    return str(request.param)


@pytest.fixture
def load_uci(tmp_path: Path) -> LoadUci:
    """Write the package and load it alone; netifyd's folders are in tmp_path."""

    def run(content: str | bytes) -> Loaded:
        file = tmp_path / "netify-proc-flow-actions"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        reports = Reports()
        return load(Sources(str(tmp_path), True), Paths(str(tmp_path), str(tmp_path)), reports), reports

    return run


def good(loaded: Loaded) -> Policy:
    policy, reports = loaded
    assert not [report.text() for report in reports.errors + reports.warnings]
    assert policy
    return policy


def lines(loaded: Loaded) -> list[str]:
    """The first line of each finding, after what all of them begin with."""
    return [report.text().split("\n")[0].removeprefix("netify-proc-flow-actions.") for report in loaded[1].items]


# -- the sample of Netify's documentation --------------------------------------------------------------------------------


def sample(tmp_path: Path, changes: str = "") -> str:
    """The sample with the files that its actions name, and with what `uci set` would make of it."""
    (tmp_path / "nfa-games.d").mkdir()
    (tmp_path / "nfa-games.d" / "10").write_text("pi:steam\n")
    (tmp_path / "nfa-external.conf").write_text("protocol == 'zoom';\n")
    return SAMPLE.read_text() + changes


def test_the_sample_loads_as_it_stands(load_uci: LoadUci, tmp_path: Path) -> None:
    """Who copies the documentation's sample would get no policy, or another one."""
    policy = good(load_uci(sample(tmp_path)))
    assert [action.name for action in policy.actions] == ["games", "auto_label", "external"]
    games, auto_label, external = policy.actions
    assert (games.enabled, games.priority, games.interface, games.halt_on_match) == (False, 100, "*", True)
    assert [text.value for text in games.criteria] == ["category == 'games';", "pi:steam\n"]
    assert games.targets == ["log_games", "ipset_games", "ctlabel_games", "nftset_games"]
    assert [text.value for text in games.exemptions] == ["app == 'netify.playstation';"]
    assert (auto_label.interface, [text.value for text in auto_label.criteria]) == ("lan", ["*"])
    assert external.priority == 200
    entries = ["192.168.1.1", "protocol == 'dns';", "app == 'netify.google';"]
    assert [text.value for text in policy.exemptions] == entries
    assert {name: (target.type, target.enabled) for name, target in policy.targets.items()} == {
        "log_games": ("log", False),
        "log_external": ("log", False),
        "sink_games": ("sink", False),
        "ipset_games": ("ipset", False),
        "ctlabel_auto": ("ctlabel", False),
        "ctlabel_games": ("ctlabel", False),
        "nftset_games": ("nftset", False),
    }
    log = policy.targets["log_external"].options
    assert log == {
        "prefix": "netify-external",
        "path": "/tmp",
        "suffix": ".json",
        "interval": 60,
        "max_files": 1000,
        "max_bytes": 4 << 20,
    }
    assert policy.targets["ctlabel_games"].options["labels"] == ("netify-games",)
    ipset = policy.targets["ipset_games"].options
    assert [ipset[name] for name in ("set_name", "families", "type", "ttl", "flush_on_destroy")] == [
        "nfa.games",
        (4,),
        "hash:ip,port,ip",
        60,
        True,
    ]
    nftset = policy.targets["nftset_games"].options
    assert [nftset[name] for name in ("table_name", "size", "ttl", "managed", "flush_on_create", "flush_on_destroy")] == [
        "netify",
        65535,
        60,
        True,
        True,
        True,
    ]
    assert nftset["type"] == ("local_addr", "ip_proto", "other_port", "other_addr")


def test_the_sample_works_when_its_parts_are_enabled(load_uci: LoadUci, tmp_path: Path) -> None:
    """`uci set ...enabled='1'` would not be enough."""
    enable = "config action 'games'\n\toption enabled '1'\nconfig target 'nftset_games'\n\toption target_enabled 'yes'\n"
    policy, reports = load_uci(sample(tmp_path, enable))
    assert policy and not reports.errors
    assert [inactive_code(action, policy) for action in policy.actions if action.enabled] == [""]
    assert policy.targets["nftset_games"].enabled


# -- what sections and values mean ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["1", "yes", "on", "true", "enabled", "TRUE", "Yes"])
def test_every_yes_of_openwrt_is_one(load_uci: LoadUci, word: str) -> None:
    """Who writes 'on' as in other packages would have the action off."""
    assert good(load_uci(MINIMAL + f"config action a\n\toption halt_on_match {word}\n")).actions[0].halt_on_match


@pytest.mark.parametrize("word", ["0", "no", "off", "false", "disabled", "OFF"])
def test_every_no_of_openwrt_is_one(load_uci: LoadUci, word: str) -> None:
    """Who writes 'off' as in other packages would have the action on."""
    assert not good(load_uci(MINIMAL + f"config action a\n\toption enabled {word}\n")).actions[0].enabled


def test_an_option_and_a_list_of_one_are_the_same(load_uci: LoadUci) -> None:
    """LuCI writes `list` where the user edits a list, a person often `option`."""
    one = good(load_uci(MINIMAL))
    other = good(load_uci(MINIMAL.replace("list", "option") + "config action a\n\tlist priority 5\n"))
    assert [text.value for text in other.actions[0].criteria] == [text.value for text in one.actions[0].criteria]
    assert (other.actions[0].targets, other.actions[0].priority) == (["l"], 5)


def test_sections_without_a_name_work(load_uci: LoadUci) -> None:
    """`uci add netify-proc-flow-actions action` gives no name."""
    policy = good(load_uci(MINIMAL + "config action\n\tlist criteria 'ai:x'\n\tlist target 'l'\n"))
    assert [action.name for action in policy.actions] == ["a", "cfg034d03"]
    assert str(policy.actions[1].place) == "netify-proc-flow-actions.cfg034d03 (line 7)"


def test_times_of_day_are_named_by_actions(load_uci: LoadUci) -> None:
    """A bedtime rule would hold all day."""
    times = """
config time_of_day 'school_night'
	list day 'mon'
	list day 'tue'
	option time_start '21:00'
	option time_end '6:30'
config time_of_day 'weekend'
	option day 'sat, sun'
	option policy 'exclusive'
config action 'a'
	list time_of_day 'school_night'
	list time_of_day 'weekend'
"""
    policy, reports = load_uci(MINIMAL + times)
    assert policy and not reports.errors and not reports.warnings
    assert policy.actions[0].time_of_day == [
        Window((0, 1), 21 * 3600, 6 * 3600 + 1800, "inclusive"),
        Window((5, 6), 0, 86400, "exclusive"),
    ]
    assert inactive_code(policy.actions[0], policy) == ""


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ("config time_of_day school_night\n", "there is no time of day named 'school_nigth'. Did you mean 'school_night'?"),
        ("", "there is no time of day named 'school_nigth'. Expected the name of a UCI section 'time_of_day'"),
        ("config time_of_day school_nigth\n\toption time_end 9\n", "expected a time hh:mm"),
    ],
)
def test_an_action_without_its_time_of_day_is_left_out(load_uci: LoadUci, times: str, words: str) -> None:
    """A typo in the name of a time would make a bedtime rule hold all day."""
    loaded = load_uci(times + MINIMAL + "config action a\n\tlist time_of_day 'school_nigth'\n")
    policy, reports = loaded
    assert policy and [inactive_code(action, policy) for action in policy.actions] == [BROKEN]
    assert words in reports.errors[0].text()
    assert "The action is left out" in reports.errors[-1].text()


def test_exemptions_are_found_by_their_names(load_uci: LoadUci) -> None:
    """What is to be spared would be acted on."""
    text = MINIMAL + (
        "config action a\n\tlist exemption printers\n\tlist exemption 10.0.0.9\n"
        "config exemption printers\n\tlist exemption 10.0.0.1\n\toption exemptions 10.0.0.2\n"
        "config exemption global\n\toption exemption 10.0.0.3\n"
    )
    policy = good(load_uci(text))
    assert [text.value for text in policy.actions[0].exemptions] == ["10.0.0.1", "10.0.0.2", "10.0.0.9"]
    assert [text.value for text in policy.exemptions] == ["10.0.0.3"]


def test_globals_of_a_target_type(load_uci: LoadUci) -> None:
    """JSON's target_globals would have no counterpart."""
    policy = good(load_uci(MINIMAL + "config target_global 'ctlabel'\n\toption max_bits 64\n"))
    assert policy.target_globals["ctlabel"]["max_bits"] == 64


def test_the_section_main(load_uci: LoadUci) -> None:
    """The service would not do what `uci set ...main...` says."""
    text = MINIMAL + (
        "config nfa main\n\toption enabled 0\n\toption source tcp://10.0.0.2:7150\n\toption json_config none\n"
        "\toption reprocess_flows 1\n\toption timezone EST5EDT\n\toption log_level info\n\toption control /tmp/nfa.sock\n"
        "\toption max_flows 2000\n\toption adopt 1\n\toption usage 0\n\toption usage_file /tmp/usage\n"
        "\toption language de\n"
    )
    policy, reports = load_uci(text)
    assert policy and not reports.errors and not reports.warnings
    assert policy.main == {
        "enabled": False,
        "source": "tcp://10.0.0.2:7150",
        "json_config": (),
        "reprocess_flows": True,
        "timezone": "EST5EDT",
        "max_flows": 2000,
        "adopt": True,
        "usage": False,
        "usage_file": "/tmp/usage",
        "language": "de",
        "log_level": "notice",
        "control": "/tmp/nfa.sock",
    }
    assert (policy.reprocess_flows, policy.timezone) == (True, "EST5EDT")


def test_main_has_defaults(load_uci: LoadUci) -> None:
    """Three `uci set` lines would not be enough for a first policy."""
    assert good(load_uci(MINIMAL)).main == {
        "enabled": True,
        "source": "unix:///var/run/netifyd/netifyd.sock",
        "json_config": None,
        "reprocess_flows": None,
        "timezone": "",
        "max_flows": 65536,
        "adopt": False,
        "usage": True,
        "usage_file": "",
        "language": "en",
        "log_level": "notice",
        "control": "/var/run/nfa/control.sock",
    }


# -- what is wrong -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("config acton b\n", "b (line 1): warning: unknown section type 'acton'. Did you mean 'action'? The section is"),
        ("config nfa other\n", "other (line 1): warning: a section 'nfa' that is not named 'main'. Write: config nfa 'main'"),
        ("config nfa\n", "a section 'nfa' that is not named 'main'"),
        ("config nfa main\n\toption sorce x\n", "main.sorce (line 2): warning: configuration: unknown property 'sorce'"),
        ("config nfa main\n\toption timezon x\n", "unknown property 'timezon'. Did you mean 'timezone'?"),
        ("config nfa main\n\toption version 1\n", "unknown property 'version'"),
        ("config nfa main\n\toption source netifyd.sock\n", "'source': a source is unix://PATH or tcp://ADDRESS:PORT"),
        ("config nfa main\n\tlist source a\n\tlist source b\n", "expected unix://PATH or tcp://ADDRESS:PORT, found a list"),
        ("config nfa main\n\toption log_level loud\n", "'log_level': expected 'error' or 'warning' or"),
        ("config nfa main\n\toption control nfa.sock\n", "'control': expected an absolute path, found 'nfa.sock'"),
        (f"config nfa main\n\toption control /{'x' * 107}\n", "expected an absolute path of at most 107 bytes"),
        ("config nfa main\n\toption json_config x.json\n", "'json_config': expected an absolute path, found 'x.json'"),
        ("config nfa main\n\toption enabled perhaps\n", "main.enabled (line 2): error: configuration: 'enabled': expected"),
        ("config nfa main\n\toption timezone Nowhere/Else\n", "unknown time zone"),
        ("config target t\n\toption set_name x\n", "t (line 1): error: target 't' has no 'target_type'"),
        ("config target_default logg\n", "logg (line 1): warning: target_defaults: 'logg' is not a target type"),
        ("config exemption global\n\tlist exemptoin 10.0.0.1\n", "unknown property 'exemptoin'. Did you mean 'exemption'?"),
        ("config exemption global\n\tlist exemption ''\n", "global.exemption (line 2): error: 'exemptions': an empty string"),
        ("config exemption\n\tlist exemption 10.0.0.1\n", "error: a section 'exemption' without a name"),
        ("config target t\n\toption type nftset\n", "'type' is what a set contains: write target_type 'nftset'"),
        ("config target t\n\toption target_type ipset\n\toption timeout 9\n", "property 'timeout'. Did you mean 'ttl'?"),
        ("config target t\n\toption target_type ipset\n\toption maxelem 9\n", "property 'maxelem'. Did you mean 'size'?"),
        ("config target\n\toption target_type log\n", "(line 1): info: this target has no name: it is called 'cfg01fd6c'"),
        ("config time_of_day\n\toption name x\n", "line 2): warning: the option 'name' does not name a section: this one is"),
        ("config time_of_day\n\toption name x\n", "is called 'cfg014545'. To name it, write: config time_of_day 'x'."),
    ],
)
def test_a_slip_is_told_with_its_option_and_line(load_uci: LoadUci, text: str, words: str) -> None:
    """The user would look for the reason in the wrong place."""
    loaded = load_uci(text + MINIMAL)
    assert loaded[0] and [action.name for action in loaded[0].actions] == ["a"]
    assert any(words in line for line in lines(loaded)), lines(loaded)
    assert loaded[1].items[0].excerpt


def test_all_that_is_wrong_with_times_of_day_is_told_at_once_and_once(load_uci: LoadUci) -> None:
    """A user would mend one value after the other, and those that no action uses only when one does."""
    times = (
        "config time_of_day unused\n\toption time_start 25:00\n\toption time_end 9\n\tlist day tu\n\tlist day we\n"
        "config time_of_day broken\n\toption policy never\n"
    )
    names = "".join(f"\tlist time_of_day {name}\n" for name in ("brokn", "broken", "other"))
    loaded = load_uci(times + MINIMAL + f"config action a\n{names}config action b\n\tlist time_of_day broken\n")
    found = [line.partition(" ")[0] for line in lines(loaded) if ": error: " in line]
    assert found[:5] == ["unused.day", "unused.day", "unused.time_start", "unused.time_end", "broken.policy"]
    assert found.count("a.time_of_day") == 3
    assert any("the time of day 'broken' was left out" in line for line in lines(loaded))
    said = {report.code: report for report in loaded[1].errors}
    assert said["time-of-day-unusable"].message == "action 'b': 'time_of_day': the time of day 'broken' was left out"
    assert said["unknown-time-of-day"].message == "action 'a': 'time_of_day': there is no time of day named 'other'"
    first = loaded[1].errors[0]
    assert (first.code, first.consequence, first.place.option.rpartition(".")[2]) == (
        "bad-value",
        "the time of day is left out",
        "day",
    )
    assert first.message == "time_of_day 'unused': unknown day 'tu'" and first.hint == "did you mean 'tue' or 'thu'?"


def test_an_unknown_option_of_a_time_of_day_is_a_warning(load_uci: LoadUci) -> None:
    """A misspelt option would be passed over, and the window last all day."""
    _, reports = load_uci("config time_of_day evening\n\toption time_strat 20:00\n" + MINIMAL)
    (warning,) = reports.warnings
    assert (warning.code, warning.consequence) == ("unknown-option", "the window begins at 0:00")
    assert warning.message == "unknown property 'time_strat' of a time of day"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kidz", "a.exemption (line 10): error: action 'a': there is no exemption named 'kidz'. Did you mean 'kids'?"),
        ("Kids", "error: action 'a': there is no exemption named 'Kids'. Did you mean 'kids'?"),
        ("global", "a.exemption (line 10): warning: action 'a': the exemptions in 'global' already apply to all actions"),
    ],
)
def test_a_wrong_name_of_an_exemption_is_told_as_a_name(load_uci: LoadUci, name: str, words: str) -> None:
    """The user would be told of a parser's trouble with an expression that nobody wrote."""
    loaded = load_uci(MINIMAL + f"config exemption kids\n\tlist exemption 10.0.0.1\nconfig action a\n\tlist exemption {name}\n")
    assert any(words in line for line in lines(loaded)), lines(loaded)
    assert loaded[0]
    assert [action.broken for action in loaded[0].actions] == [name != "global"]
    assert not loaded[0].actions[0].exemptions


def test_a_bare_attribute_is_still_an_exemption(load_uci: LoadUci) -> None:
    policy = good(load_uci(MINIMAL + "config action a\n\tlist exemption ip_nat\n"))
    assert [text.value for text in policy.actions[0].exemptions] == ["ip_nat"]


@pytest.mark.parametrize("value", ["l m", "l, m", " l,m "])
def test_several_targets_in_one_value_are_told_apart(load_uci: LoadUci, value: str) -> None:
    """`option target 'a b'` looks right to who knows other configurations of OpenWrt."""
    given = MINIMAL.replace("list target 'l'", f"list target '{value}'")
    loaded = load_uci(given + "config target m\n\toption target_type log\n")
    option = "netify-proc-flow-actions.a.target"
    hint = f"write a list with uci delete {option}; uci add_list {option}='l'; uci add_list {option}='m'."
    assert any("one value with several names" in line and hint in line for line in lines(loaded)), lines(loaded)


def test_a_wrong_expression_is_shown_where_it_is_wrong(load_uci: LoadUci) -> None:
    """The caret would point at the option, not at the word."""
    policy, _ = load_uci(MINIMAL.replace("app == 'x';", "app == 'x' &&\n  ap == 'y';"))
    assert policy
    text = policy.actions[0].criteria[0]
    assert str(text.at(text.value.index("ap =="))) == "netify-proc-flow-actions.a.criteria (line 3)"
    assert text.at(text.value.index("ap ==")).column == 3


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (MINIMAL.encode() + b"option\n", 7, "'option' is incomplete"),
        (MINIMAL.encode() + b"config target 'x-y'\n", 7, "'x-y' cannot be the name of a section"),
        (MINIMAL.encode() + b"config action 'l'\n", 7, "section 'l' is of type 'action' here, and of type 'target' at netify-"),
        (MINIMAL.encode() + b"\toption prefix 'x\n", 7, "this ' is never closed"),
        (b"\xef\xbb\xbf" + MINIMAL.encode(), 1, "the file begins with a byte order mark"),
        (MINIMAL.encode() + b"\toption prefix 'gr\xfcn'\n", 7, "byte 0xfc is not UTF-8. Save the file as UTF-8"),
        (MINIMAL.encode() + b"\tlist criteria 'gr\xfcn'\n", 7, "byte 0xfc is not UTF-8"),
        (MINIMAL.encode() + b"\toption prefix 'a\0b'\n", 7, "a NUL character"),
    ],
)
def test_a_file_that_libuci_refuses_is_not_used(load_uci: LoadUci, content: bytes, line: int, words: str) -> None:
    """Half a policy would come into force, or the user would not know in which line to look."""
    policy, reports = load_uci(content)
    assert policy is None
    (error,) = reports.errors
    assert error.place and error.place.line == line
    assert words in error.text() and error.text().split("\n")[0].endswith("The file is not used")
    assert error.excerpt


def test_a_broken_byte_in_a_comment_does_no_harm(load_uci: LoadUci) -> None:
    """An old comment with an umlaut would switch off the policy."""
    good(load_uci(b"# f\xfcr die Kinder\n" + MINIMAL.encode()))


def test_a_file_that_cannot_be_read_is_an_error(load_uci: LoadUci, tmp_path: Path) -> None:
    """A fifo or a disk image in the file's place would hold up the daemon, or fill its memory."""
    file = tmp_path / "netify-proc-flow-actions"
    file.mkdir()
    reports = Reports()
    assert uciconfig.read(str(tmp_path), reports) is None
    assert "is not a regular file. The file is not used" in reports.errors[0].text()
    file.rmdir()
    policy, reports = load_uci(b"#" * (uciconfig.MAX_SIZE + 1))
    assert policy is None and "is larger than 1048576 bytes" in reports.errors[0].text()


def test_values_of_libuci_count_where_the_two_differ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If our reader ever misread a file, places may be lost, but never what the user configured."""
    (tmp_path / "netify-proc-flow-actions").write_text(MINIMAL)
    options: dict[str, str | tuple[str, ...]] = {"target_type": "log", "prefix": "x"}
    answer: libuci.Sections = [("target", "l", options), ("exemption", "e", {"exemption": ("a",)})]
    monkeypatch.setattr(libuci, "sections", lambda content: answer)
    document = uciconfig.read(str(tmp_path), Reports())
    assert document and not document.actions
    (target,) = document.targets
    assert [(name.value, value.plain()) for name, value in target.properties] == [("target_type", "log"), ("prefix", "x")]
    assert [str(value.place) for _, value in target.properties] == [
        "netify-proc-flow-actions.l.target_type (line 6)",
        "netify-proc-flow-actions.l.prefix",
    ]
    assert [(name.value, value.plain()) for name, value in document.exemptions] == [("e", ["a"])]
    (tmp_path / "netify-proc-flow-actions").write_text("option\n")
    document = uciconfig.read(str(tmp_path), Reports())
    assert document and [str(section.name.place) for section in document.targets] == ["netify-proc-flow-actions.l"]


def test_what_only_libuci_refuses_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If our reader ever took what libuci does not, `uci` commands and nfa would disagree."""

    def refuse(content: bytes) -> libuci.Sections:
        raise libuci.Refused

    (tmp_path / "netify-proc-flow-actions").write_text(MINIMAL)
    monkeypatch.setattr(libuci, "sections", refuse)
    reports = Reports()
    assert uciconfig.read(str(tmp_path), reports) is None
    assert "libuci rejects the file" in reports.errors[0].text()


def test_booleans_are_those_of_openwrt() -> None:
    """config_get_bool and validate_data would see another word than nfa does."""
    place = Place("f", 1, 1)
    context = Context(Paths(), Reports())
    words = ("1", "on", "true", "yes", "enabled", "0", "off", "false", "no", "disabled")
    assert [boolean(Value(Text(word, place), place), context) for word in words] == [True] * 5 + [False] * 5
