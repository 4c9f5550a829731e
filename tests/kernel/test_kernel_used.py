"""Usage of a real daemon: what netifyd tells, as `nfa usage` and the bus answer it; the file, and what becomes of it."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from kernel_lab import Lab, eventually
from kernel_lab import policy as policy_of
from samples import flow, purge, stats

pytestmark = pytest.mark.kernel

VIDEO = flow("HTTP/S", "netify.youtube", local="192.168.1.20", local_port=5001)
QUERY = flow("DNS", local="192.168.1.21", local_port=5002, ip_protocol=17)


def nfa(lab: Lab, *arguments: str, code: int = 0) -> str:
    done = lab.namespace.attempt(*lab.nfa("usage", "--control", str(lab.daemon.control), *arguments))
    assert done.returncode == code, done.stderr
    return str(done.stdout if not code else done.stderr)


def policy(targets: dict[str, Any], *criteria: str) -> dict[str, Any]:
    """A policy with usage on."""
    return policy_of(targets, *criteria) | {"usage": True}


def usage(lab: Lab, *arguments: str) -> Any:
    return json.loads(nfa(lab, "--json", *arguments))


def test_what_devices_used_is_answered(lab: Lab) -> None:
    """The question that people ask most: who used what, how much, how long."""
    lab.start(policy({"log": {"target_type": "log", "path": str(lab.folder / "logs")}}, "port == 443;"))
    lab.feed(VIDEO, QUERY, stats(VIDEO["flow"]["digest"], local=(1000, 10), other=(500_000, 400)))
    lab.feed(purge(QUERY["flow"]["digest"], local=(70, 1), other=(230, 1)))
    eventually(lambda: lab.daemon.status()["source"]["kinds"]["purge"] == 1, what="the purge")
    answer = usage(lab)
    assert set(answer) == {"since", "until", "devices"}
    assert answer["since"] < answer["until"]
    assert {device["mac"]: device["applications"] for device in answer["devices"]} == {
        VIDEO["flow"]["local_mac"]: [
            {"application": "netify.youtube", "category": "streaming-media", "down": 500_000, "up": 1000, "minutes": 0,
             "connections": 1, "blocked_packets": 0},
        ],
        QUERY["flow"]["local_mac"]: [
            {"application": "DNS", "category": "networking", "down": 230, "up": 70, "minutes": 0, "connections": 1,
             "blocked_packets": 0},
        ],
    }  # fmt: skip
    assert all(device["device"] == device["mac"] for device in answer["devices"]), "no name is known"
    (alone,) = usage(lab, "--app", "YouTube", "--since", "1h")["devices"]
    assert alone["applications"][0]["down"] == 500_000
    (other,) = usage(lab, "--device", QUERY["flow"]["local_mac"].upper())["devices"]
    assert other["applications"][0]["application"] == "DNS"
    assert usage(lab, "--since", "yesterday")["devices"] == []
    (hour, *_) = [hour for hour in usage(lab, "--by", "hour")["periods"] if hour["connections"]]
    assert (hour["down"], hour["up"]) == (500_230, 1070)
    (action,) = usage(lab, "--by", "action")["actions"]
    assert action["down"] == 500_230
    rows = list(csv.DictReader(io.StringIO(nfa(lab, "--csv"))))
    assert [(row["application"], row["down"]) for row in rows] == [("netify.youtube", "500000"), ("DNS", "230")]
    table = nfa(lab)
    assert "500 kB" in table
    assert max(map(len, table.splitlines())) <= 80


def test_names_that_are_not_there_are_refused_with_the_nearest(lab: Lab) -> None:
    """A typing mistake must not look like a device that used nothing."""
    lab.start(policy({"log": {"target_type": "log", "path": str(lab.folder / "logs")}}, "port == 443;"))
    lab.feed(VIDEO)
    eventually(lambda: lab.daemon.status()["flows"]["evaluated"], what="the flow")
    assert "did you mean 'netify.youtube'" in nfa(lab, "--app", "netify.youtub", code=1)
    assert "nothing was counted of device 'tablet'" in nfa(lab, "--device", "tablet", code=1)
    assert "expected today, yesterday" in nfa(lab, "--since", "last week", code=1)


def test_a_device_has_its_name_and_hostile_names_are_harmless(lab: Lab) -> None:
    """Who reads a table, or opens it in a spreadsheet, must not run what a stranger chose."""
    config = policy({"log": {"target_type": "log", "path": str(lab.folder / "logs")}}, "port == 443;")
    lab.start(config | {"devices": {"tablet": {"mac": VIDEO["flow"]["local_mac"]}}})
    evil = json.loads(json.dumps(QUERY))
    evil["flow"]["detected_application_name"] = "=cmd|'/c calc'!A1\x1b[2J\n"
    lab.feed(VIDEO, evil, stats(evil["flow"]["digest"], local=(1, 1), other=(2, 1)))
    eventually(lambda: lab.daemon.status()["source"]["kinds"]["stats"] == 1, what="the statistics")
    assert {device["device"] for device in usage(lab)["devices"]} == {"tablet", evil["flow"]["local_mac"]}
    assert usage(lab, "--device", "tablet")["devices"][0]["mac"] == VIDEO["flow"]["local_mac"]
    for text in (nfa(lab), nfa(lab, "--csv")):
        assert "\x1b" not in text
    assert any(row["application"].startswith("'=") for row in csv.DictReader(io.StringIO(nfa(lab, "--csv"))))


def test_it_is_kept_over_a_restart_in_a_private_file_and_forgotten_on_request(lab: Lab) -> None:
    """A restart for an upgrade would lose the month; what is forgotten must be gone from the file as well."""
    file = lab.folder / "kept" / "usage.nfa"
    config = policy({"log": {"target_type": "log", "path": str(lab.folder / "logs")}}, "port == 443;")
    lab.start(config | {"usage_file": str(file)})
    lab.feed(VIDEO, QUERY, stats(VIDEO["flow"]["digest"], local=(1000, 10), other=(9000, 20)))
    eventually(lambda: lab.daemon.status()["source"]["kinds"]["stats"] == 1, what="the statistics")
    before = usage(lab)["devices"]
    assert lab.daemon.stop() == 0
    assert file.stat().st_mode & 0o777 == 0o600
    lab.start(config | {"usage_file": str(file)})
    assert usage(lab)["devices"] == before
    mac = VIDEO["flow"]["local_mac"]
    assert mac.encode() in file.read_bytes()
    assert "forgotten" in nfa(lab, "--forget", mac)
    assert mac.encode() not in file.read_bytes()
    assert [device["mac"] for device in usage(lab)["devices"]] == [QUERY["flow"]["local_mac"]]
    lab.daemon.kill()
    lab.start(config | {"usage_file": str(file)})
    assert [device["mac"] for device in usage(lab)["devices"]] == [QUERY["flow"]["local_mac"]]
    assert "forgotten" in nfa(lab, "--forget")
    assert usage(lab)["devices"] == []


def test_off_is_off(lab: Lab) -> None:
    """Who switches it off wants nothing of it: no count, no file, no code in memory."""
    config = policy({"log": {"target_type": "log", "path": str(lab.folder / "logs")}}, "port == 443;") | {"usage": False}
    lab.start(config)
    lab.feed(VIDEO)
    eventually(lambda: lab.daemon.status()["flows"]["evaluated"], what="the flow")
    assert "switched off" in nfa(lab, code=1)
    assert lab.daemon.status()["usage"]["on"] is False
    lab.daemon.configure(config | {"usage": True})
    lab.daemon.signal(signal.SIGHUP)
    lab.daemon.loaded(2)
    assert lab.daemon.status()["usage"]["on"] is True
    lab.feed(stats(VIDEO["flow"]["digest"], local=(1, 1), other=(2, 1)))
    eventually(lambda: lab.daemon.status()["usage"]["unknown_bytes"] == 3, what="statistics of a flow from before")
    lab.daemon.configure(config)
    lab.daemon.signal(signal.SIGHUP)
    lab.daemon.loaded(3)
    assert "switched off" in nfa(lab, code=1)


def test_a_file_that_is_damaged_is_set_aside(lab: Lab) -> None:
    """A power cut, or an older version, must not keep the daemon from counting."""
    file = Path(lab.folder) / "usage.nfa"
    file.write_bytes(b"nfa usage 1\n" + os.urandom(100))
    config = policy({"log": {"target_type": "log", "path": str(lab.folder / "logs")}}, "port == 443;")
    lab.start(config | {"usage_file": str(file)})
    status = lab.daemon.status()["usage"]
    assert status["code"] == "usage-file-damaged"
    assert (Path(lab.folder) / "usage.nfa.bad").exists()
    lab.feed(VIDEO)
    eventually(lambda: lab.daemon.status()["usage"]["devices"] == 1, what="the flow")
    assert lab.daemon.stop() == 0
    assert file.stat().st_size < 1000


def test_packets_of_a_blocked_flow_are_told(lab: Lab) -> None:
    """An owner wants to see that a block has something to do, and for whom."""
    lab.start(policy({"stop": {"target_type": "firewall", "verdict": "drop"}}, "app == 'youtube';"))
    lab.feed(VIDEO, QUERY, stats(VIDEO["flow"]["digest"], local=(1000, 10), other=(500, 4)))
    lab.feed(stats(QUERY["flow"]["digest"], local=(70, 1), other=(230, 1)))
    eventually(lambda: lab.daemon.status()["source"]["kinds"]["stats"] == 2, what="the statistics")
    found = {app["application"]: app for device in usage(lab)["devices"] for app in device["applications"]}
    assert found["netify.youtube"]["blocked_packets"] == 14
    assert found["DNS"]["blocked_packets"] == 0
    (action,) = usage(lab, "--by", "action")["actions"]
    assert (action["action"], action["blocked_packets"]) != ("", 0)
