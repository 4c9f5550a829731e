"""The JSON schema of the configuration: editors and deployment tools believe it, so it must say what `nfa check` says."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import schema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Report, Reports
from nfa.compiler.compile import understand_policy
from nfa.compiler.config import jsonconfig
from nfa.compiler.config.build import build
from nfa.compiler.config.options import ACTION_OPTIONS, COMMON_OPTIONS, GLOBAL_OPTIONS, TARGET_GLOBALS, TARGET_OPTIONS

ROOT = Path(__file__).parents[3]
VALID = Draft202012Validator(json.loads(schema.FILE.read_text(encoding="utf-8")))


def samples() -> dict[str, Any]:
    """Every JSON configuration in the repository: in files, and in the documents."""
    found = {}
    for file in (*ROOT.glob("tests/**/seeds/*.json"), *ROOT.glob("demo/*.json")):
        found[file.name] = json.loads(file.read_text(encoding="utf-8"))
    for page in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        for number, block in enumerate(re.findall(r"```json\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)):
            document = json.loads(block)
            if "version" in document or {"actions", "targets"} <= set(document):
                found[f"{page.name} {number}"] = document
    return found


SAMPLES = samples()


def faults(document: object) -> list[ValidationError]:
    return list(VALID.iter_errors(document))


def checked(document: object) -> list[Report]:
    """The errors and warnings of `nfa check`."""
    reports = Reports()
    text = json.dumps(document)
    read = jsonconfig.document_of(text, "policy.json", reports)
    if read is not None:
        paths = Paths("/nonexistent", readable=False)
        understand_policy(build([read], reports, paths), paths, reports, look=False, uci=None)
    return [report for report in reports.items if report.severity != "info"]


def test_the_file_is_what_the_table_of_options_gives() -> None:
    """An option of a later release would be marked as an error in every editor."""
    assert schema.FILE.read_text(encoding="utf-8") == schema.text(), "run: python packaging/schema.py"


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema.schema())


def test_every_option_is_in_it_and_most_say_what_they_are_for() -> None:
    made = schema.schema()
    tables = [(GLOBAL_OPTIONS, made), (ACTION_OPTIONS, made["$defs"]["action"])]
    tables += [(COMMON_OPTIONS + own, made["$defs"][kind]) for kind, own in TARGET_OPTIONS.items()]
    for kind, own in TARGET_GLOBALS.items():
        tables.append((own, made["properties"]["target_globals"]["properties"][kind]["anyOf"][0]))
    for table, part in tables:
        for option in table:
            for name in (option.name, *option.aliases):
                assert name in part["properties"]
    described = [option for option in made["$defs"]["action"]["properties"].values() if option.get("description")]
    assert len(described) == len(made["$defs"]["action"]["properties"])
    assert made["$defs"]["log"]["properties"]["prefix"]["description"] == "The first part of the file's name."


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_validates(name: str) -> None:
    """Who copies an example into an editor would see it underlined."""
    assert faults(SAMPLES[name]) == []


def test_there_are_samples() -> None:
    assert len(SAMPLES) >= 5


EACH: dict[str, dict[str, Any]] = {
    "firewall": {"verdict": "drop"},
    "nftset": {"set_name": "s"},
    "ipset": {"set_name": "s"},
    "ctmark": {"mark": "0x1"},
    "ctlabel": {"labels": [1]},
    "log": {},
    "sink": {"sink": "s"},
    "pftable": {"table_name": "t"},
}
WHOLE: dict[str, Any] = {
    "version": 1,
    "reprocess_flows": False,
    "timezone": "UTC0",
    "max_flows": 4096,
    "adopt": False,
    "usage": True,
    "usage_file": "/tmp/usage",
    "language": "de",
    "exemptions": ["192.168.1.1"],
    "actions": {
        "a": {
            "enabled": True, "criteria": ["port == 1;"], "targets": list(EACH), "exemptions": ["10.0.0.0/8"],
            "interface": "lan", "halt_on_match": False, "priority": 5,
            "time_of_day": [{"day": ["mon"], "time_start": "1:00", "time_end": "2:00", "policy": "inclusive"}],
        }
    },
    "targets": {kind: {"target_type": kind, "target_enabled": True, "interface": "*", "cut": False} | own
                for kind, own in EACH.items()},
    "target_defaults": {"nftset": {"ttl": 5, "managed": False, "set_family": "ipv4"}, "log": {"path": "/tmp"}},
    "target_globals": {"ctlabel": {"max_bits": 127}},
    "devices": {"tablet": {"mac": ["00:11:22:33:44:55"]}},
    "notices": {
        "phone": {
            "enabled": True, "event": ["weak_tls", "blocked"], "to": ["log"], "tls_below": "1.1", "action": ["a"],
            "device": ["tablet"], "limit": 5,
        }
    },
}  # fmt: skip


def everywhere(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of each value in a document."""
    found = [path] if path else []
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        found += everywhere(part, (*path, key))
    return found


PLAIN: list[Any] = [None, True, False, 0, 1, -1, 2, 1.5, 1.0, 1 << 40, [], {}, [[]], [1], [[1]], [True], {"x": 1}, [None]]
TEXTS = ["x", "1", "yes", "On", "0x1", "*", "lan", "/tmp", "mon", "25:00", "1:00", "UTC0", "new|expired", "ipv4", "hash:ip"]
TEXTS += ["1:10", "1-5", "local_addr", "json", "none", "a/b", "-x", ""]
TEXTS += [" ", "On ", "/x\n", "a b", "\n", "\u00e9", "\u0000", "\u212a", "sin\u212a"]
VALUES = st.one_of(
    st.sampled_from(PLAIN),
    st.sampled_from(TEXTS),
    st.sampled_from(TEXTS).map(lambda text: [text]),
    st.sampled_from(TEXTS).map(lambda text: [[text]]),
    st.text(max_size=8),
    st.integers(-5, 1 << 33),
    st.lists(st.one_of(st.text(max_size=5), st.integers(0, 200), st.none()), max_size=3),
)
TABLES = (GLOBAL_OPTIONS, ACTION_OPTIONS, COMMON_OPTIONS, *TARGET_OPTIONS.values(), *TARGET_GLOBALS.values())
NAMES = sorted({name for table in TABLES for option in table for name in (option.name, *option.aliases)})
NAMES += ["x", "", "$schema", "target_type", "action", "log", "days"]


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_what_the_schema_refuses_nfa_check_tells(data: st.DataObject) -> None:
    """A deployment would be refused for something that works, and nobody could say why."""
    document = copy.deepcopy(WHOLE)
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(everywhere(document)))
        parent: Any = document
        for key in path[:-1]:
            parent = parent[key]
        how = data.draw(st.sampled_from(["set", "set", "set", "add", "remove"]))
        if how == "remove":
            del parent[path[-1]]
        elif how == "add" and isinstance(parent, dict):
            parent[data.draw(st.sampled_from(NAMES))] = copy.deepcopy(data.draw(VALUES))
        else:
            parent[path[-1]] = copy.deepcopy(data.draw(VALUES))
    refused = faults(document)
    if refused:
        assert checked(document), refused[0].message[:500]


def test_a_whole_configuration_is_valid_and_fine() -> None:
    """Else the mutations of it would prove nothing."""
    assert faults(WHOLE) == []
    told = checked(WHOLE)
    assert not [report for report in told if report.code not in ("unknown-sink", "target-unsupported")], told


@pytest.mark.parametrize(
    "change",
    [
        {"acions": {}}, {"version": 2}, {"actions": []}, {"actions": {"a": {"criteria": "*"}}}, {"targets": {"t": {}}},
        {"targets": {"t": {"target_type": "lgo"}}},
        {"targets": {"t": {"target_type": "log", "ttl": 5}}}, {"targets": {"t": {"target_type": "log", "interval": 0}}},
        {"target_defaults": {"log": {"prefix": "a/b"}}}, {"max_flows": 5}, {"exemptions": [""]},
    ],
)  # fmt: skip
def test_slips_are_refused(change: dict[str, Any]) -> None:
    """A schema that takes everything helps nobody."""
    assert faults(WHOLE | change) and checked(WHOLE | change)


def test_an_editor_may_be_told_of_the_schema() -> None:
    """The usual "$schema" was an unknown property."""
    named = WHOLE | {"$schema": schema.ID}
    assert faults(named) == [] and [report.code for report in checked(named)] == [report.code for report in checked(WHOLE)]
