"""The forms of luci-app-nfa and the daemon speak of the same options of UCI: names, defaults, choices and what is a value."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path

from luci_app import HERE, ROOT, SCRIPTS, VIEWS, needs_node

from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Place, Reports
from nfa.compiler.config.channel_options import CHANNEL_OPTIONS
from nfa.compiler.config.convert import Context, Invalid
from nfa.compiler.config.jsontext import Value
from nfa.compiler.config.model import Text
from nfa.compiler.config.options import (
    ACTION_OPTIONS,
    BUDGET_OPTIONS,
    COMMON_OPTIONS,
    MAIN_OPTIONS,
    TARGET_GLOBALS,
    TARGET_OPTIONS,
    Options,
)
from nfa.compiler.config.spelling import NOTHING, built_in
from nfa.compiler.config.timeofday import _PROPERTIES, _days, _time

pytestmark = needs_node

DOCUMENTATION = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("configuration.md", "budgets.md"))

OMITTED = {
    "target pftable": "PF is of FreeBSD, LuCI of OpenWrt",
    "target_global pftable": "likewise",
    "main usage": "the page Home switches it on",
    "main usage_file": "a folder that a person at a browser does not see",
    "main language": "no page shows notices yet",
    "channel ubus function": "of Netify's file: events have no method to call, the daemon only lets it pass",
}
"""What no form offers, and why."""

VALUES = (
    "", "0", "1", "7", "28", "31", "32", "60", "127", "128", "1000", "1001", "1023", "1024", "3600", "3601", "65535",
    "65536", "1048576", "1048577", "2147483", "2147484", "4294967295", "4294967296", "-1", "x", "a b", "a/b", ".x",
    "..", "-x", "x" * 15, "x" * 16, "x" * 28, "x" * 29, "x" * 252, "x" * 253, "*", "lan", "eth0.1", "br-lan", "#x",
    "/tmp", "/tmp/x y", "tmp", "${path_state_persistent}/x", "0x10", "10", "0xffffffff", "0x1ffffffff", "0xg", "1:10",
    "1:g", "12345:1", "192.168.1.0/24", "192.168.1.0/33", "10.0.0.1-10.0.0.9", "10.0.0.9-10.0.0.1", "1-1023",
    "10.0.0.0/8", "1-65536", "0600", "660", "0800", "http://192.168.1.2:8080/events", "https://example.org",
    "http://a b", "ftp://x", "http://u:p@x", "mqtt://192.168.1.2", "mqtts://b.example.org:8883", "mqtt://x/y",
    "mqtt://x:70000", "unix:///run/x.sock", "unix://run", "tcp://127.0.0.1:80", "tcp://0.0.0.0:99999",
    "tcp://[::1]:80", "tcp://host.example.org:80", "udp://host.example.org:80", "ws://127.0.0.1:1",
    "unix:///" + "x" * 120, "X-Token: abc", "Host: x", "X Y: z", "a+b", "a#b", "a\nb", "Europe/Paris",
    "CET-1CEST,M3.5.0,M10.5.0/3", "none", "0:00", "00:00", "9:5", "21:00", " 21:00 ", "23:59:59", "23:59:60", "24:00",
    "24:00:00", "24:00:01", "24:01", "12:60", "123:00", "1:00 pm", "21", "21.00", "mon", "Monday", "SAT, sunday", "fri fri",
    "weekdays", "mon-fri", "monster", "EF", "af41", "CS8", "af44", "63", "64", "0x2e", "0x40", "063", "2mbit",
    "1.5Mbit", "7kbit", "8kbit", "250 kbyte", "2mbit/s", "2mbps", "1000gbit", "1001gbit", "2", "1000byte", "999byte",
    "0x10/0xf0", "16/240", "0x10/0x0f", "0/0", "0x10", "1/0x1ffffffff", "63/128", "0xfc000000/0x1000000", "62/128",
    "30m", "1h30m", "90s", "7d", "8d", "1.5h", "10min", "500MB", "2 GB", "1GiB", "1iB", "1001TB", "0m", "0B", "4:00",
    "sun 4:00", "sun mon", "sunday", "sat,sun 2h", "sat, sun 2h 4GB", "fri unlimited", "fri unlimited 2h", "fri 1h 2h",
    "mon 0m", "day 1h", "1h",
    "63/32", "63/0", "127/128", "0x1f/0x80", "wan2", "1/0xffffffff", "0x80000000/0x80000000",
)  # fmt: skip


@cache
def forms() -> dict:
    """Return what the forms write, as options.js prints it."""
    done = subprocess.run(["node", str(HERE / "options.js"), json.dumps(VALUES)], capture_output=True, text=True, check=True)
    found: dict = json.loads(done.stdout)
    return found


def pairs() -> list[tuple[str, list[dict], Options]]:
    """What a form writes beside what the daemon reads, for each kind of section."""
    found = forms()
    return [
        ("main", found["main"], MAIN_OPTIONS),
        ("action", found["action"], ACTION_OPTIONS),
        ("budget", found["budget"], BUDGET_OPTIONS),
        ("target", [field for field in found["common"] if field["name"] != "target_type"], COMMON_OPTIONS),
        *((f"target {kind}", found["targets"].get(kind, []), options) for kind, options in TARGET_OPTIONS.items()),
        *((f"target_global {kind}", found["target_global"].get(kind, []), options) for kind, options in TARGET_GLOBALS.items()),
        *((f"channel {kind}", found["channels"].get(kind, []), options) for kind, options in CHANNEL_OPTIONS.items()),
    ]


def test_every_option_of_a_form_is_read_by_the_daemon_and_the_reverse() -> None:
    for section, fields, options in pairs():
        if section in OMITTED:
            assert not fields, f"{section} is said to be omitted: {OMITTED[section]}"
            continue
        read = {name: option for option in options for name in (option.name, *option.aliases)}
        written = {field["name"]: field for field in fields}
        assert not set(written) - set(read), f"{section}: no reader"
        offered = {read[name].name for name in written}
        missing = {option.name for option in options} - offered
        assert missing == {name for name in missing if f"{section} {name}" in OMITTED}, f"{section}: no form"
        for name, field in written.items():
            # Otherwise a form would not see, or not replace, what a person wrote by another name.
            assert {name, *field["other"]} == {read[name].name, *read[name].aliases}, f"{section}: other names of {name}"


def test_sections_that_are_no_tables_of_options() -> None:
    found = forms()
    assert {name for field in found["time_of_day"] for name in (field["name"], *field["other"])} == {*_PROPERTIES, "days"}
    assert [(field["name"], field["other"]) for field in found["exemption"]] == [("exemption", ["exemptions"])]
    assert [field["name"] for field in found["sink"]] == ["type"]
    assert [field["name"] for field in found["channel"]] == ["sink"]
    assert set(found["kinds"]) == set(CHANNEL_OPTIONS)
    assert set(found["types"]) == set(TARGET_OPTIONS) - {"pftable"}
    assert found["types"][0] == "firewall", "what a new target is"


def test_every_omission_is_one() -> None:
    known = {section for section, *_ in pairs()}
    known |= {f"{section} {option.name}" for section, _, options in pairs() for option in options}
    assert set(OMITTED) <= known


def test_every_option_of_a_form_is_documented() -> None:
    written = [field for _, fields, _ in pairs() for field in fields] + forms()["time_of_day"]
    for name in {field["name"] for field in written}:
        assert re.search(rf"`{name}`", DOCUMENTATION), name


def test_what_holds_without_an_option_is_what_the_form_shows() -> None:
    for section, fields, options in pairs():
        read = {name: option for option in options for name in (option.name, *option.aliases)}
        for field in fields:
            option = read[field["name"]]
            default = built_in(option)
            if default in (NOTHING, "''"):
                default = ""
            if field["name"] == "reprocess_flows":
                default = "1"  # so it is as far as records of live flows are kept
            shown = ", ".join(field["preset"].split()) if field["kind"] == "picks" else field["preset"]
            if (section, field["name"]) != ("target_global ctlabel", "connlabel_conf"):
                assert shown == default, f"{section} {field['name']}"
            if option.required and not section.startswith("channel"):
                assert field["required"], f"{section} {field['name']}"


def test_choices_are_values(tmp_path: Path) -> None:
    for section, fields, options in pairs():
        read = {name: option for option in options for name in (option.name, *option.aliases)}
        for field in fields:
            for choice in filter(None, field["choices"]):  # none: the option is not written
                assert takes(read[field["name"]].convert, choice, tmp_path), f"{section} {field['name']} {choice}"


def takes(convert: object, text: str, folder: Path) -> bool:
    """Whether the daemon takes a text as the value of an option."""
    place = Place("f", 1, 1)
    context = Context(Paths(str(folder), str(folder)), Reports())
    assert callable(convert)
    try:
        convert(Value(Text(text, place), place), context)
    except Invalid:
        return False
    return True


def test_a_form_takes_what_the_daemon_takes(tmp_path: Path) -> None:
    # Names of zones depend on the packages of the router, folders on what root allows; only the daemon knows both.
    lenient = {("main", "timezone"), ("main", "source"), ("main", "control")}
    for section, _, options in pairs():
        rules = forms()["taken"].get(section.replace("target_global", "-") if section != "target" else "common")
        if rules is None:
            continue
        read = {name: option for option in options for name in (option.name, *option.aliases)}
        ruled = {name for name, _ in rules}
        for name in sorted(ruled & set(read)):
            for value in VALUES:
                # An option without a value is none, and a number may not be written in 21 digits.
                if not value or "${" in value:
                    continue
                form, daemon = [name, value] in rules, takes(read[name].convert, value, tmp_path)
                told = f"{section} {name}: {value!r}: form {form}, daemon {daemon}"
                assert form == daemon or (section, name) in lenient, told


def test_a_form_takes_the_times_and_days_that_the_daemon_takes() -> None:
    """A schedule would be shown with other hours than those that hold."""
    place = Place("f", 1, 1)
    for value, times, days in zip(VALUES, forms()["times"], forms()["days"], strict=True):
        for latest, form in zip((86399, 86400), times, strict=True):
            try:
                daemon = _time(Value(Text(value, place), place), latest)
            except Invalid:
                daemon = None
            assert form == daemon, f"time {value!r} up to {latest}: form {form}, daemon {daemon}"
        try:
            named = list(_days(Value(Text(value, place), place)))
        except Invalid:
            continue  # the daemon says so
        assert days == named, value


def options_that_are_set() -> dict[str, set[str]]:
    """Return what the scripts give to uci.set as the name of an option, by script."""
    found: dict[str, set[str]] = {}
    for path in SCRIPTS:
        for name in re.findall(r"\buci\.set\([^,()]+, [^,()]+, ([^,()]+)", path.read_text(encoding="utf-8")):
            found.setdefault(path.name, set()).add(name)
    return found


COMPUTED = {
    "build.js": {"name"},  # of nfa.fields
    "targets.js": {"field.name"},
    "stored.js": {"name"},  # exemption or exemptions
    "service.js": {"option"},  # enabled or usage
    "routes.js": {"option"},  # of the network: what nfa route apply would write
    "policies.js": {"option"},  # of a rule that is there, for its duplicate
    "choosing.js": {"option"},  # of a target, budget or schedule: test_luci_choices.py gives that to the daemon
    "recipes.js": {"option"},  # what cookbook.js makes; test_luci_recipes.py gives that to the daemon
}


def test_options_that_are_written_past_the_forms_are_read_by_the_daemon() -> None:
    written = options_that_are_set()
    assert set(COMPUTED) <= set(written)
    read = {name for option in (*MAIN_OPTIONS, *ACTION_OPTIONS) for name in (option.name, *option.aliases)}
    for script, names in written.items():
        literals = {name.strip("'") for name in names if name.startswith("'")}
        assert literals <= read, script
        assert {name for name in names if not name.startswith("'")} == COMPUTED.get(script, set()), script
    calls = sum(path.read_text(encoding="utf-8").count("uci.set(") for path in SCRIPTS)
    pattern = r"\buci\.set\([^,()]+, [^,()]+, [^,()]+"
    assert calls == sum(len(re.findall(pattern, path.read_text(encoding="utf-8"))) for path in SCRIPTS), "not all are seen"


def test_views_write_only_what_is_in_the_table() -> None:
    """Options that a view makes by itself begin with '_': they are shown, never written."""
    for view in VIEWS:
        text = view.read_text(encoding="utf-8")
        for name in re.findall(r"(?:tab)?option\((?:'[a-z]+', )?form\.[A-Za-z]+, ([^,)]+)", text):
            assert name in ("name",) or name.startswith(("'_", "`_")), f"{view.name}: {name}"
