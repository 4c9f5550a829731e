"""Log files: what is in them, when they are written, and that they never cost more than they may."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import samples

from nfa.daemon.targets import log
from nfa.daemon.targets.counters import Counters
from nfa.daemon.targets.log import Log

CLOCK = 1_795_000_000.7
FLOW = samples.flow("QUIC", "netify.youtube", ip_protocol=17)["flow"]


class Desk:
    """A log target, the files it wrote, and what was said."""

    def __init__(self, **options: Any) -> None:
        self.files: list[tuple[str, str, dict[str, Any]]] = []
        self.said: list[str] = []
        self.problem = ""
        options = {"path": "/tmp/nfa", "prefix": "nfa", "suffix": ".json", "interval": 60} | options
        self.told: list[tuple[str, ...]] = []
        counters = Counters("log.x", "log")
        self.log = Log(options, counters, self.write, self.say, lambda *news: self.told.append(news))

    def say(self, level: str, text: str) -> None:
        self.said.append(f"{level}: {text}")

    def write(self, folder: str, name: str, data: bytes, temporary: str) -> str:
        if not self.problem:
            self.files.append((folder, name, json.loads(data)))
        return self.problem


def test_a_file_is_what_netifys_plugin_writes() -> None:
    """A program that reads the plugin's logs could not read these."""
    desk = Desk(prefix="flows")
    desk.log.effect(FLOW, 100, CLOCK)
    desk.log.effect(FLOW | {"detected_application": 0, "detected_application_name": "Unknown"}, 130, CLOCK + 30)
    desk.log.write_file(CLOCK + 60)
    ((folder, name, body),) = desk.files
    assert folder == "/tmp/nfa"
    assert name == time.strftime("flows-%Y%m%d-%H%M%S.json", time.localtime(int(CLOCK + 60)))
    entry = {"app_id": "124.netify.youtube", "dst_addr": "203.0.113.10", "dst_port": 443, "proto_id": "188",
             "src_addr": "192.168.1.20"}  # fmt: skip
    assert body == {
        "entries": [entry, entry | {"app_id": "0.Unknown"}],
        "time_start": int(CLOCK),
        "time_end": int(CLOCK + 60),
    }
    assert desk.log.counters.added == 2


def test_an_interval_begins_with_its_first_flow() -> None:
    """Empty files would be written for ever, or a lone flow would never be."""
    desk = Desk(interval=60)
    assert desk.log.due == 0
    desk.log.effect(FLOW, 100, CLOCK)
    desk.log.effect(FLOW, 150, CLOCK)
    assert desk.log.due == 160
    desk.log.write_file(CLOCK)
    assert desk.log.due == 0
    desk.log.write_file(CLOCK)
    assert len(desk.files) == 1


def test_a_clock_that_is_set_back_gives_no_negative_interval() -> None:
    """NTP on a router without a battery moves the clock by years."""
    desk = Desk()
    desk.log.effect(FLOW, 100, CLOCK)
    desk.log.write_file(1000.0)
    assert desk.files[0][2]["time_start"] == desk.files[0][2]["time_end"] == 1000


def test_a_flood_is_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan would take the router's memory until the interval is over."""
    monkeypatch.setattr(log, "MAX_ENTRIES", 10)
    desk = Desk()
    for _ in range(25):
        desk.log.effect(FLOW, 100, CLOCK)
    assert len(desk.log) == 10
    desk.log.write_file(CLOCK)
    assert len(desk.files[0][2]["entries"]) == 10
    assert (desk.log.counters.added, desk.log.counters.skipped) == (10, 15)


def test_a_full_disk_is_told_once() -> None:
    """The system log would fill with the same line, and memory with entries."""
    desk = Desk()
    desk.problem = "No space left on device"
    for _ in range(3):
        desk.log.effect(FLOW, 100, CLOCK)
        desk.log.write_file(CLOCK)
    assert desk.said == ["error: target 'log.x': cannot write to /tmp/nfa: No space left on device"]
    assert len(desk.log) == 0
    assert desk.log.counters.errors == 3
    desk.problem = ""
    desk.log.effect(FLOW, 100, CLOCK)
    desk.log.write_file(CLOCK)
    desk.problem = "Read-only file system"
    desk.log.effect(FLOW, 100, CLOCK)
    desk.log.write_file(CLOCK)
    assert len(desk.said) == 2
