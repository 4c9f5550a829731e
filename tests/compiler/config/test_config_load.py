"""A whole configuration: actions, precedence, what is left out and what goes on."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from config_loading import Load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from policies import json_only

from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports
from nfa.compiler.config.build import build
from nfa.compiler.config.convert import Context
from nfa.compiler.config.features import BROKEN, inactive_code
from nfa.compiler.config.jsonconfig import read
from nfa.compiler.config.model import Policy, Text, Window
from nfa.compiler.config.options import ACTION_OPTIONS, COMMON_OPTIONS, TARGET_GLOBALS, TARGET_OPTIONS
from nfa.compiler.config.sources import load

SEEDS = sorted((Path(__file__).parent / "seeds").glob("*.json"))
MINIMAL: dict[str, Any] = {
    "version": 1,
    "actions": {"a": {"criteria": "app == 'x';", "targets": ["log"]}},
    "targets": {"log": {"target_type": "log"}},
}


def config(**changes: Any) -> dict[str, Any]:
    """The minimal configuration with properties of its action changed; None removes one."""
    result = copy.deepcopy(MINIMAL)
    action = result["actions"]["a"]
    action.update(changes)
    result["actions"]["a"] = {name: value for name, value in action.items() if value is not None}
    return result


def good(loaded: tuple[Policy | None, Reports]) -> Policy:
    policy, reports = loaded
    assert not [report.text() for report in reports.errors + reports.warnings]
    assert policy
    return policy


@pytest.mark.parametrize("file", SEEDS, ids=lambda file: file.stem)
def test_documented_examples_load_without_a_complaint(file: Path, tmp_path: Path) -> None:
    """Who copies an example from the documentation would be told that it is wrong."""
    reports = Reports()
    channels = {"flow-actions": {"bind_address": "tcp://127.0.0.1:7160"}}
    (tmp_path / "netify-sink-socket.json").write_text(json.dumps({"channels": channels}))
    policy = load(json_only(file), Paths(str(tmp_path)), reports)
    assert policy
    assert not [report.text() for report in reports.errors + reports.warnings]
    document = json.loads(file.read_text())
    assert [action.name for action in policy.actions] == list(document["actions"])
    assert list(policy.targets) == list(document["targets"])


def test_the_ipset_example_means_what_its_page_says() -> None:
    """target_defaults would not reach the sets."""
    policy = load(json_only(Path(__file__).parent / "seeds" / "ipset-integration.json"), Paths(), Reports())
    assert policy
    assert policy.targets["ipset.social"].options == {
        "set_name": "nfa.social",
        "type": "hash:ip,port,ip",
        "address_type": "other",
        "families": (4, 6),
        "ttl": 120,
        "managed": True,
        "size": 65536,
        "flush_on_create": True,
        "flush_on_destroy": True,
        "skb_mark": None,
        "skb_mask": 0xFFFFFFFF,
        "skb_prio": None,
        "skb_queue": None,
        "range": None,
    }
    assert [text.value for text in policy.exemptions] == ["protocol == 'dns';"]
    social = policy.actions[2]
    assert [text.value for text in social.exemptions] == ["app == 'netify.twitter';"]
    assert str(social.criteria[0].at(0)).endswith("ipset-integration.json:17:20")


def test_every_documented_property_is_known() -> None:
    """A property of the documentation would be ignored as unknown."""
    action = "enabled criteria targets exemptions interface halt_on_match priority time_of_day target exemption"
    target = {
        "ipset": "set_name type skb_mark skb_mask skb_prio skb_queue set_family ttl managed max_elements size"
        " flush_on_create flush_on_destroy",
        "nftset": "set_name table_name table_family set_family ttl type managed max_elements size"
        " flush_on_create flush_on_destroy",
        "ctlabel": "labels label auto_label log_errors",
        "ctmark": "mark mask shift",
        "pftable": "table_name anchor_name address_type ttl managed",
        "log": "prefix path suffix interval",
        "sink": "sink channel format compressor flow_events header",
    }
    of_types = {"ctlabel": "max_bits connlabel_conf", "pftable": "pftable device"}

    def names(options: Any) -> set[str]:
        return {name for option in options for name in (option.name, *option.aliases)}

    assert set(action.split()) <= names(ACTION_OPTIONS)
    for kind, words in target.items():
        assert set(words.split()) <= names(TARGET_OPTIONS[kind])
    for kind, words in of_types.items():
        assert set(words.split()) <= names(TARGET_GLOBALS[kind])
    assert names(COMMON_OPTIONS) == {"target_enabled", "interface", "cut"}


def test_the_misspelling_of_the_documentation_is_understood(load_config: Load) -> None:
    """The documentation's examples of ctlabel and ctmark would lose their defaults."""
    policy, reports = load_config({**MINIMAL, "target_defauts": {"log": {"interval": 300}}})
    assert policy
    assert policy.targets["log"].options["interval"] == 300
    assert "'target_defauts' is misspelt" in reports.warnings[0].message


def test_an_action_is_complete(load_config: Load) -> None:
    """The compiler would have to know defaults a second time."""
    (action,) = good(load_config(MINIMAL)).actions
    assert (action.enabled, action.interface, action.halt_on_match) == (True, "*", False)
    assert (action.priority, action.exemptions, action.time_of_day) == (100, [], [])


def test_words_of_uci_are_understood_in_json(load_config: Load) -> None:
    """Configurations that a script made from UCI hold texts where JSON has numbers and booleans."""
    policy = good(
        load_config(
            config(
                enabled="1",
                halt_on_match=["yes"],
                priority="7",
                targets=None,
                target="log",
                exemption="10.0.0.1",
            )
        )
    )
    (action,) = policy.actions
    assert (action.halt_on_match, action.priority, action.targets) == (True, 7, ["log"])
    assert [text.value for text in action.exemptions] == ["10.0.0.1"]


def test_null_is_as_good_as_missing(load_config: Load) -> None:
    """Web interfaces write null for a field that was left empty."""
    good(load_config(json.dumps(MINIMAL).replace('"criteria"', '"priority": null, "exemptions": null, "criteria"')))


def test_actions_are_sorted_by_priority_then_by_place(load_config: Load) -> None:
    """halt_on_match would stop the wrong actions."""
    document = config()
    for name, priority in (("z", 200), ("y", 5), ("x", 100), ("b", 0)):
        document["actions"][name] = {**MINIMAL["actions"]["a"], "priority": priority}
    assert [action.name for action in good(load_config(document)).actions] == ["b", "y", "a", "x", "z"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"criteria": None}, "action 'a' has no 'criteria'"),
        ({"criteria": ""}, "an empty string"),
        ({"criteria": []}, "has no criteria"),
        ({"criteria": ["app == 'x';", " "]}, "an empty string"),
        ({"criteria": 5}, "expected a string or a list of strings, found 5"),
        ({"criteria": "/nonexistent"}, "has no criteria"),
        ({"targets": None}, "action 'a' has no 'targets'"),
        ({"targets": []}, "names no target"),
        ({"targets": "lgo"}, "the target 'lgo', which does not exist"),
        ({"interface": "a-name-that-is-too-long"}, "expected '*', 'lan', 'wan'"),
        ({"interface": ".."}, "expected '*', 'lan', 'wan'"),
        ({"enabled": "maybe"}, "expected true or false, found 'maybe'"),
        ({"priority": -1}, "expected a whole number from 0"),
        ({"priority": True}, "expected a whole number from 0"),
        ({"priority": 1.5}, "expected a whole number from 0"),
        ({"exemptions": "/nonexistent"}, "exemptions could not be read"),
        ({"time_of_day": "9:00"}, "there is no time of day named '9:00'"),
    ],
)
def test_a_broken_action_is_left_out_and_the_others_work(load_config: Load, changes: dict[str, Any], message: str) -> None:
    """One typo would stop the whole policy, or half an action would run."""
    document = config(**changes)
    document["actions"]["good"] = MINIMAL["actions"]["a"]
    policy, reports = load_config(document)
    assert policy
    assert {action.name: inactive_code(action, policy) for action in policy.actions} == {"a": BROKEN, "good": ""}
    assert any(message in report.message for report in reports.errors), reports.items
    assert "the action is left out" in reports.errors[-1].consequence
    assert reports.errors[-1].excerpt


def test_a_disabled_action_is_checked_all_the_same(load_config: Load) -> None:
    """The typo would show only when the action is switched on."""
    assert load_config(config(enabled=False, targets=["lgo"]))[1].errors
    assert not good(load_config(config(enabled=False))).actions[0].enabled


def test_an_unknown_target_leaves_the_others_to_the_action(load_config: Load) -> None:
    """A typo in the log's name would switch off the blocking."""
    policy, reports = load_config(config(targets=["lgo", "log", "log"]))
    assert policy
    assert policy.actions[0].targets == ["log"]
    (error,) = reports.errors
    assert error.hint == "did you mean 'log'?"
    assert error.consequence == "the action keeps its other targets"


def test_an_action_with_disabled_targets_only_is_a_warning(load_config: Load) -> None:
    """The user would wonder why nothing happens."""
    document = config()
    document["targets"]["log"]["target_enabled"] = False
    policy, reports = load_config(document)
    assert policy
    assert "none of its targets is" in reports.warnings[0].message
    assert inactive_code(policy.actions[0], policy) == "targets-disabled"


def test_unknown_properties_are_named_with_the_nearest(load_config: Load) -> None:
    """A misspelt property would be ignored silently."""
    document = config(priorty=5)
    document["targtes"] = {}
    _, reports = load_config(document)
    hints = [report.hint for report in reports.warnings]
    assert hints == ["did you mean 'targets' or 'target_defaults'?", "did you mean 'priority'?"] or (
        "'targets'" in hints[0] and "'priority'" in hints[1]
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '"x"', "null", "\x00", '{"a":1,}'])
def test_what_is_no_configuration_leaves_the_running_policy(load_config: Load, text: str) -> None:
    """Saving a half-written file would switch off every rule."""
    policy, reports = load_config(text)
    assert policy is None
    assert len(reports.errors) == 1
    assert reports.errors[0].consequence == "the file is not used"


def test_a_missing_file_leaves_the_running_policy() -> None:
    """An unmounted disk would switch off every rule."""
    reports = Reports()
    assert load(json_only(Path("/nonexistent.json")), Paths(), reports) is None
    assert reports.errors[0].text().startswith("/nonexistent.json: error: cannot read")


@pytest.mark.parametrize(
    ("changes", "severity", "message"),
    [
        ({"version": 2}, "error", "expected 1, found 2"),
        ({"version": None}, "warning", "no 'version'"),
        ({"timezone": "America/Torronto"}, "error", "unknown time zone"),
        ({"reprocess_flows": "x"}, "error", "expected true or false"),
        ({"max_flows": 10}, "error", "from 1024 to 1048576"),
        ({"actions": []}, "error", "'actions' is not an object"),
        ({"actions": {"b": 5}}, "error", "action 'b' is not an object"),
        ({"targets": {"b": 5}}, "error", "target 'b' is not an object"),
        ({"target_defaults": {"log": 5}}, "error", "target_defaults of log is not an object"),
        ({"actions": {"": {}}}, "error", "an action has an empty name"),
        ({"targets": {"": {"target_type": "log"}}}, "error", "a target has an empty name"),
        ({"exemptions": ["", "10.0.0.1"]}, "error", "an empty string"),
        ({"target_defaults": {"logg": {}}}, "warning", "'logg' is not a target type"),
        ({"target_defaults": {"log": {"interval": "x"}}}, "error", "target_defaults of log: 'interval'"),
        (
            {"target_globals": {"ctlabel": {"max_bits": 500}}},
            "error",
            "target_globals of ctlabel: 'max_bits'",
        ),
    ],
)
def test_mistakes_outside_actions_do_not_stop_the_policy(
    load_config: Load, changes: dict[str, Any], severity: str, message: str
) -> None:
    """A typo in one corner would switch off the rest."""
    policy, reports = load_config({**MINIMAL, **changes})
    assert policy
    assert any(report.severity == severity and message in report.message for report in reports.items)


def test_the_other_exemptions_hold_when_one_is_broken(load_config: Load) -> None:
    """One empty line would expose every exempted host."""
    policy, _ = load_config({**MINIMAL, "exemptions": ["", "10.0.0.1"]})
    assert policy
    assert [text.value for text in policy.exemptions] == ["10.0.0.1"]


def test_a_later_file_comes_before_an_earlier_one(tmp_path: Path) -> None:
    """UCI comes before JSON: option, then defaults of the later file, of the earlier one, built-in."""
    documents = [
        {
            **MINIMAL,
            "target_defaults": {"log": {"interval": 1, "suffix": ".old", "prefix": "old"}},
            "exemptions": ["10.0.0.1"],
        },
        {
            "version": 1,
            "target_defaults": {"log": {"interval": 2, "suffix": ".new"}},
            "targets": {"other": {"target_type": "log", "interval": 3}},
            "actions": {"a": {"criteria": "*", "targets": "other"}},
            "exemptions": "10.0.0.2",
        },
    ]
    files = []
    for number, document in enumerate(documents):
        files.append(str(tmp_path / f"{number}.json"))
        Path(files[-1]).write_text(json.dumps(document))
    reports = Reports()
    policy = load(json_only(*map(Path, files)), Paths(), reports)
    assert policy
    assert policy.files == files
    assert policy.targets["log"].options == {
        "prefix": "old", "path": "/tmp", "suffix": ".new", "interval": 2, "max_files": 1000, "max_bytes": 4 << 20,
    }  # fmt: skip
    assert policy.targets["other"].options["interval"] == 3
    assert [text.value for text in policy.exemptions] == ["10.0.0.1", "10.0.0.2"]
    assert [action.targets for action in policy.actions] == [["other"]]
    (warning,) = reports.warnings
    assert f"also defined at {files[0]}" in warning.message


def test_named_exemptions_are_used_by_the_actions_that_name_them(tmp_path: Path) -> None:
    """UCI has lists of exemptions with names; an action would not spare what they name."""
    file = tmp_path / "a.json"
    file.write_text(json.dumps(config(exemptions=["playstation", "10.0.0.9"])))
    reports = Reports()
    document = read(str(file), reports)
    assert document
    for name in ("playstation", "global"):
        (value,) = (value for key, value in document.actions[0].properties if key.value == "criteria")
        document.exemptions.append((Text(name, value.place), value))
    policy = build([document], reports, Paths())
    assert [text.value for text in policy.actions[0].exemptions] == ["app == 'x';", "10.0.0.9"]
    assert [text.value for text in policy.exemptions] == ["app == 'x';"]


def test_a_target_that_this_system_does_not_have_is_announced_and_the_others_work(load_config: Load) -> None:
    """Its flows would be dropped without a word."""
    document = config(time_of_day={"day": "mon", "time_start": "21:00", "time_end": "6:00"})
    document["reprocess_flows"] = 1
    document["targets"]["events"] = {"target_type": "pftable", "table_name": "x"}
    document["actions"]["b"] = {"criteria": "*", "targets": "events"}
    document["actions"]["c"] = {"criteria": "*", "targets": ["events", "log"]}
    policy, reports = load_config(document)
    assert policy
    assert not reports.errors
    assert [report.severity for report in reports.items] == ["info"]
    assert "there is no PF on this system" in reports.items[0].message
    assert "nftset or ipset" in reports.items[0].hint
    assert reports.items[0].place
    reasons = [inactive_code(action, policy) for action in policy.actions]
    assert reasons == ["", "target-unusable", ""]
    assert policy.actions[0].time_of_day == [Window((0,), 21 * 3600, 6 * 3600, "inclusive")]


def test_on_freebsd_a_table_of_pf_is_in_use_but_cuts_nothing(load_config: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no conntrack: the daemon would look for it with each flow."""
    monkeypatch.setattr("sys.platform", "freebsd15")
    document = config()
    document["targets"]["events"] = {"target_type": "pftable", "table_name": "x", "cut": True, "anchor": "nfa/video"}
    policy, reports = load_config(document)
    assert policy
    assert (policy.targets["events"].trouble, policy.targets["events"].options["anchor_name"]) == ("", "nfa/video")
    assert [report.severity for report in reports.items] == ["info"]
    assert "not with PF" in reports.items[0].message


@pytest.mark.parametrize("written", ["nfa/*", "a b", "", "x" * 1024])
def test_an_anchor_is_the_path_of_one(load_config: Load, written: str) -> None:
    """pfctl takes a '*' at the end for all anchors below."""
    document = config()
    document["targets"]["events"] = {"target_type": "pftable", "table_name": "x", "anchor_name": written}
    _, reports = load_config(document)
    assert "the path of an anchor" in reports.errors[0].message


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_value_anywhere_ends_the_compiler(load_config: Load, data: st.DataObject) -> None:
    """A strange value in a place nobody thought of would end the compiler with a traceback."""
    document = json.loads(data.draw(st.sampled_from(SEEDS)).read_text())
    spots: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            spots.append((node, key))
            if isinstance(node[key], dict | list):
                collect(node[key])

    collect(document)
    for _ in range(data.draw(st.integers(1, 4))):
        node, key = data.draw(st.sampled_from(spots))
        node[key] = data.draw(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats().filter(lambda number: number == number).map(lambda number: max(min(number, 1e308), -1e308))
            | st.text(max_size=40)
            | st.sampled_from(["", "*", "${x}", "/", "0x", "1-2", "10.0.0.0/8", "9:00", "\x00", "/dev/zero"])
            | st.lists(st.text(max_size=3) | st.integers(), max_size=3)
            | st.dictionaries(st.text(max_size=3), st.integers(), max_size=3)
        )
    policy, reports = load_config(document)
    assert policy
    for report in reports.items:
        assert report.text()
    for action in [action for action in policy.actions if not action.broken]:
        inactive_code(action, policy)
        assert action.targets
        assert action.criteria


def test_converters_do_not_need_a_file() -> None:
    """Converters are shared with the reader of UCI, which has no text to point into."""
    from nfa.compiler.base.report import Place
    from nfa.compiler.config.convert import boolean
    from nfa.compiler.config.jsontext import Value

    value = Value(Text("on", Place("uci", 0, 0)), Place("uci", 0, 0))
    assert boolean(value, Context(Paths(), Reports())) is True


@pytest.mark.parametrize("slip", ["exemtions", "exempt", "excemptions", "Exemptions"])
def test_a_slip_in_the_word_exemptions_leaves_the_action_out(load_config: Load, slip: str) -> None:
    """The printer that was to be spared would be blocked, and a warning in a log is no help."""
    document = config()
    document["actions"]["a"][slip] = ["192.168.1.50"]
    policy, reports = load_config(document)
    assert policy
    assert not [action for action in policy.actions if not action.broken]
    assert "did you mean 'exemptions'?" in reports.errors[0].text().replace("Did", "did")


@pytest.mark.parametrize("kind", ["log", "nftset"])
def test_a_log_that_cuts_is_told(load_config: Load, kind: str) -> None:
    """The type of a target was changed from nftset to log, and its 'cut' stayed: every connection stumbles, none is blocked."""
    _, reports = load_config(
        {
            "version": 1,
            "actions": {"a": {"criteria": "*", "targets": "t"}},
            "targets": {"t": {"target_type": kind, "cut": True} | ({"set_name": "s"} if kind == "nftset" else {})},
        }
    )
    assert [report.code for report in reports.warnings] == (["cut-alone"] if kind == "log" else [])
