"""The codes of findings: one for each kind, whatever the words and wherever it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports
from nfa.compiler.compile import check_texts, understand_policy
from nfa.compiler.config import jsonconfig, uciconfig
from nfa.compiler.config.build import build
from nfa.compiler.config.model import Text

LOG = {"target_type": "log"}
SET = {"target_type": "nftset", "type": ["other_addr"], "set_name": "s"}


def codes(folder: Path, text: str) -> list[str]:
    """The codes of a configuration, JSON or UCI, without a look into the kernel."""
    reports, paths = Reports(), Paths(str(folder), str(folder))
    if jsonconfig.is_uci(text):
        document = uciconfig.document_of(text.encode(), "config", reports)
    else:
        document = jsonconfig.document_of(text, "config", reports)
    if document is not None:
        understand_policy(build([document], reports, paths), paths, reports, look=False, uci=None)
    return [report.code for report in reports.items]


def policy(action: dict[str, Any], target: dict[str, Any] | None = None, **more: Any) -> str:
    actions = {"a": {"criteria": ["app == 'netify.youtube';"], "targets": ["t"]} | action}
    return json.dumps({"version": 1, "actions": actions, "targets": {"t": LOG if target is None else target}} | more)


CASES = {
    "": "bad-syntax",
    "[1]": "bad-value",
    '{"version": 1, "actions": {}}': "no-action",
    '{"version": 1, "a": 1, "actions": {}}': "unknown-option",
    policy({}): "",
    policy({"criteria": []}): "no-criteria",
    policy({"targets": []}): "no-target",
    policy({"targets": ["x"]}): "unknown-target",
    policy({"enabled": "perhaps"}): "bad-value",
    policy({"priorty": 1}): "unknown-option",
    policy({"exemptions": ["gardens"]}): "unknown-exemption",
    policy({"exemptions": ["@garden"]}): "unknown-address-group",
    policy({"exemptions": ["192.168.1.300"]}): "bad-address",
    policy({"exemptions": ["global"]}): "exemption-redundant",
    policy({"criteria": ["/nowhere/x"]}): "path-not-allowed",
    policy({"criteria": ["${path_state_persistent}/x"]}): "file-unreadable",
    policy({}, {"target_type": "log", "path": "/etc/hotplug.d/iface"}): "path-not-allowed",
    policy({"criteria": ["${path_x}/x"]}): "unknown-variable",
    policy({"criteria": ["ap == 'x';"]}): "unknown-attribute",
    policy({"criteria": ["port == 'x"]}): "bad-expression",
    policy({"criteria": ["port ~ 1;"]}): "bad-expression",
    policy({"criteria": ["app > 'x';"]}): "bad-operator",
    policy({"criteria": ["port == 'x';"]}): "bad-value",
    policy({"criteria": ["port == 70000;"]}): "matches-nothing",
    policy({"criteria": ["category == 'gamez';"]}): "unknown-category",
    policy({"criteria": ["risks == 'none-such';"]}): "unknown-risk",
    policy({"criteria": ["app == 'youtub';"]}): "unknown-application",
    policy({"criteria": ["proto == 'bittorent';"]}): "unknown-protocol",
    policy({"criteria": ["app && port || proto;"]}): "mixed-operators",
    policy({"criteria": ["client_sni == 'rx:(';"]}): "bad-regex",
    policy({"criteria": ["client_sni == 'rx:(a)\\1';"]}): "regex-unsupported",
    policy({"criteria": ["client_sni == 'rx:" + "(a{1,999}){1,999}" + "';"]}): "regex-too-large",
    policy({"criteria": ["app == 'netify.youtube'"]}): "unended-expression",
    policy({"criteria": ["!app;", "port == 1;"]}): "criteria-negative",
    policy({"time_of_day": "bedtime"}): "unknown-time-of-day",
    policy({"time_of_day": {"time_start": "9 pm"}}): "bad-value",
    policy({}, {"type": "log"}): "missing-option",
    policy({}, {"target_type": "lgo"}): "unknown-target-type",
    policy({}, {"target_type": "log", "target_enabled": False}): "targets-disabled",
    policy({}, {"target_type": "ipset", "type": "bitmap:ip", "set_name": "s"}): "options-conflict",
    policy({}, {"target_type": "ctmark", "mark": "100"}): "mark-hexadecimal",
    policy({}, {"target_type": "ctmark", "mark": "0xff00", "mask": "0xff"}): "mark-outside-mask",
    policy({}, {"target_type": "ctlabel", "labels": ["games"]}): "unknown-label",
    policy({}, {"target_type": "sink", "sink": "s", "channel": "c"}): "unknown-sink",
    policy({}, SET | {"type": ["local_ip"]}): "misspelt-option",
    policy({}, timezone="Mars/Olympus"): "unknown-timezone",
    "config action 'a'\n\toption criteria 'x\n": "bad-syntax",
    "config actoin 'a'\n": "unknown-section",
    "config action\n\tlist criteria 'port == 1;'\n\tlist target 't'\nconfig target 't'\n"
    "\toption target_type 'log'\n": "section-unnamed",
    "config sink 's'\n\toption type 'amqp'\nconfig target 't'\n\toption target_type 'sink'\n\toption sink 's'\n"
    "\toption channel 'c'\n": "unknown-sink-type",
}


@pytest.mark.parametrize("text", CASES, ids=lambda text: text[-60:])
def test_each_kind_of_finding_has_its_code(tmp_path: Path, text: str) -> None:
    """A page or a script that decides by the code would do the wrong thing, or nothing."""
    found = codes(tmp_path, text)
    assert CASES[text] in found if CASES[text] else not found


def test_the_first_finding_is_not_told_as_another_kind(tmp_path: Path) -> None:
    """What follows from a fault (the action is left out) would come before the fault itself."""
    assert codes(tmp_path, policy({"targets": ["x"]})) == ["unknown-target"]
    assert codes(tmp_path, policy({}, {"target_type": "lgo"})) == ["unknown-target-type", "target-unusable"]


@pytest.mark.parametrize("kind", ["criteria", "exemptions"])
def test_findings_of_a_single_text_say_only_what_is_wrong(tmp_path: Path, kind: str) -> None:
    """A page that checks one field would have to cut the name of the field off the message."""
    reports = Reports()
    check_texts([Text.of_file("ap == 'x';", kind)], kind, Paths(str(tmp_path), str(tmp_path)), reports)
    (report,) = reports.items
    assert (report.code, report.message) == ("unknown-attribute", "unknown attribute 'ap'")
    assert report.place is not None and report.place.file == kind
