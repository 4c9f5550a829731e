"""Log files: what is in them, when they are written, and that they never cost more than they may."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import samples

from nfa.daemon.stream.records import digest_key
from nfa.daemon.targets import log
from nfa.daemon.targets.counters import Counters
from nfa.daemon.targets.log import Log
from nfa.daemon.targets.target import LogTarget

CLOCK = 1_795_000_000.7
FLOW = samples.flow("QUIC", "netify.youtube", ip_protocol=17, local_mac="00:11:22:33:44:55")["flow"]


def other(number: int, **fields: Any) -> dict[str, Any]:
    """Another flow."""
    return FLOW | {"digest": f"{number:040x}"} | fields


def statistics(size: int, flow: dict[str, Any] = FLOW) -> tuple[int, bytes]:
    """The statistics of a flow as the log gets them."""
    record = samples.payload(samples.stats(flow["digest"], total=(size, 9)))
    return digest_key(flow["digest"]), record


class Desk:
    """A log target, the files it wrote, and what was said."""

    def __init__(self, name: str = "", **options: Any) -> None:
        self.files: list[tuple[str, str, dict[str, Any]]] = []
        self.sizes: list[int] = []
        self.said: list[str] = []
        self.problem = ""
        bounds = {"max_files": 10, "max_bytes": 1 << 20}
        options = {"path": "/tmp/nfa", "prefix": "nfa", "suffix": ".json", "interval": 60} | bounds | options
        self.told: list[tuple[str, ...]] = []
        counters = Counters("log.x", "log")
        tell = lambda *news: self.told.append(news)  # noqa: E731 (shorter than a method)
        self.log = Log(options, counters, self.write, self.say, tell, lambda flow: name)

    def say(self, level: str, text: str) -> None:
        self.said.append(f"{level}: {text}")

    def write(self, folder: str, prefix: str, suffix: str, data: bytes, end: float, files: int, most: int) -> str:
        assert (files, most) == (self.log.options["max_files"], self.log.options["max_bytes"])
        if not self.problem:
            stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(end))
            self.files.append((folder, prefix + stamp + suffix, json.loads(data)))
            self.sizes.append(len(data))
        return self.problem

    def entries(self) -> list[dict[str, Any]]:
        """Write a file and return its entries."""
        self.log.write_file(CLOCK + 60)
        found: list[dict[str, Any]] = self.files[-1][2]["entries"]
        return found


def test_a_file_is_what_netifys_plugin_writes_and_says_when_who_where_and_how_much() -> None:
    """A program that reads the plugin's logs could not read these; a person could not tell when and by whom it was."""
    desk = Desk(prefix="flows")
    assert desk.log.note(FLOW | {"host_server_name": "www.youtube.com"}, False, 100, CLOCK)
    unknown = {"detected_application": 0, "detected_application_name": "Unknown", "dns_host_name": "a.example"}
    assert desk.log.note(other(1, **unknown), False, 130, CLOCK + 30)
    desk.log.count(*statistics(123456), False)
    desk.log.write_file(CLOCK + 60)
    ((folder, name, body),) = desk.files
    assert folder == "/tmp/nfa"
    assert name == time.strftime("flows-%Y%m%d-%H%M%S.json", time.localtime(int(CLOCK + 60)))
    netifys = {"app_id": "124.netify.youtube", "dst_addr": "203.0.113.10", "dst_port": 443, "proto_id": "188",
               "src_addr": "192.168.1.20"}  # fmt: skip
    mac = "00:11:22:33:44:55"
    first = netifys | {"time": int(CLOCK), "mac": mac, "device": mac, "host": "www.youtube.com", "bytes": 123456}
    second = first | {"app_id": "0.Unknown", "time": int(CLOCK + 30), "host": "a.example", "bytes": None}
    assert body == {"entries": [first, second], "time_start": int(CLOCK), "time_end": int(CLOCK + 60)}
    assert desk.log.counters.added == 2


def test_a_device_is_told_by_its_name_where_that_is_known() -> None:
    """A person would have to look each MAC address up."""
    desk = Desk(name="kids_tablet")
    desk.log.note(FLOW, False, 100, CLOCK)
    (entry,) = desk.entries()
    assert (entry["device"], entry["mac"]) == ("kids_tablet", "00:11:22:33:44:55")


def test_a_flow_has_one_entry_with_what_was_known_last() -> None:
    """A flow whose detection is refined would be counted three times."""
    desk = Desk()
    desk.log.note(FLOW, False, 100, CLOCK)
    desk.log.count(*statistics(1000), False)
    desk.log.note(FLOW | {"detected_application_name": "netify.google", "host_server_name": "x.example"}, True, 101, CLOCK + 1)
    desk.log.count(*statistics(5000), False)
    (entry,) = desk.entries()
    assert (entry["app_id"], entry["host"], entry["bytes"]) == ("124.netify.google", "x.example", 5000)
    assert entry["time"] == int(CLOCK), "when it began to match"
    assert desk.log.counters.added == 1


def test_another_flow_with_the_digest_of_one_that_ended_has_its_own_entry() -> None:
    """A digest comes back when addresses and ports do: two connections would be one, with the bytes of the last."""
    desk = Desk()
    desk.log.note(FLOW, False, 100, CLOCK)
    desk.log.count(*statistics(1000), True)
    desk.log.note(FLOW, False, 101, CLOCK + 1)
    desk.log.count(*statistics(7), False)
    assert [(entry["time"], entry["bytes"]) for entry in desk.entries()] == [(int(CLOCK), 1000), (int(CLOCK) + 1, 7)]


def test_a_flow_that_goes_on_is_not_logged_in_the_next_interval() -> None:
    """A film would be in each file of the evening."""
    desk = Desk()
    desk.log.note(FLOW, False, 100, CLOCK)
    desk.log.write_file(CLOCK + 60)
    assert desk.log.note(FLOW, True, 170, CLOCK + 70)
    desk.log.count(*statistics(1000), False)
    assert len(desk.log) == 0 and desk.log.due == 0


def test_a_flow_that_gets_another_digest_keeps_its_entry() -> None:
    """netifyd 5 reclassifies flows: each would be in the log twice."""
    desk = Desk()
    desk.log.note(FLOW, False, 100, CLOCK)
    later = other(7, digest_prev=[FLOW["digest"]])
    desk.log.note(later, False, 101, CLOCK + 1)
    desk.log.count(*statistics(77, later), False)
    (entry,) = desk.entries()
    assert entry["bytes"] == 77


@pytest.mark.parametrize("earlier", [None, "x", {}, [1, None, "", []], ["ff"]])
def test_earlier_digests_of_any_form_do_no_harm(earlier: object) -> None:
    desk = Desk()
    desk.log.note(FLOW, False, 100, CLOCK)
    assert desk.log.note(other(7, digest_prev=earlier), False, 101, CLOCK)
    assert len(desk.log) == 2


def test_an_interval_begins_with_its_first_flow() -> None:
    """Empty files would be written for ever, or a lone flow would never be."""
    desk = Desk(interval=60)
    assert desk.log.due == 0
    desk.log.note(FLOW, False, 100, CLOCK)
    desk.log.note(other(1), False, 150, CLOCK)
    assert desk.log.due == 160
    desk.log.write_file(CLOCK)
    assert desk.log.due == 0
    desk.log.write_file(CLOCK)
    assert len(desk.files) == 1


def test_a_clock_that_is_set_back_gives_no_negative_interval() -> None:
    """NTP on a router without a battery moves the clock by years."""
    desk = Desk()
    desk.log.note(FLOW, False, 100, CLOCK)
    desk.log.write_file(1000.0)
    assert desk.files[0][2]["time_start"] == desk.files[0][2]["time_end"] == 1000


def test_a_flood_is_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan would take the router's memory until the interval is over."""
    monkeypatch.setattr(log, "MAX_ENTRIES", 10)
    desk = Desk()
    taken = [desk.log.note(other(number), False, 100, CLOCK) for number in range(25)]
    assert taken == [True] * 10 + [False] * 15
    assert len(desk.log) == 10
    desk.log.write_file(CLOCK)
    assert len(desk.files[0][2]["entries"]) == 10
    assert (desk.log.counters.added, desk.log.counters.skipped) == (10, 15)


def test_one_file_is_no_larger_than_all_may_be() -> None:
    """One interval of a scan would fill the folder that is in RAM."""
    desk = Desk(max_bytes=2000)
    for number in range(100):
        desk.log.note(other(number, host_server_name="h" * 10000), False, 100, CLOCK)
    entries = desk.entries()
    assert desk.sizes[0] <= 2000
    assert 0 < len(entries) < 10
    assert len(entries[0]["host"]) == log.MAX_HOST
    assert desk.log.counters.skipped == 100 - len(entries)


def test_a_full_disk_is_told_once() -> None:
    """The system log would fill with the same line, and memory with entries."""
    desk = Desk()
    desk.problem = "No space left on device"
    for _ in range(3):
        desk.log.note(FLOW, False, 100, CLOCK)
        desk.log.write_file(CLOCK)
    assert desk.said == ["error: target 'log.x': cannot write to /tmp/nfa: No space left on device"]
    assert len(desk.log) == 0
    assert desk.log.counters.errors == 3
    desk.problem = ""
    desk.log.note(FLOW, False, 100, CLOCK)
    desk.log.write_file(CLOCK)
    desk.problem = "Read-only file system"
    desk.log.note(FLOW, False, 100, CLOCK)
    desk.log.write_file(CLOCK)
    assert len(desk.said) == 2


# -- what a flow holds of a log -----------------------------------------------------------------------------------------


def test_a_flow_holds_a_key_of_the_log_and_nothing_else_makes_an_entry() -> None:
    """A reload, an edge of a schedule or a refined record would log the live flows again."""
    desk = Desk()
    target = LogTarget(513, desk.log, "*", None)
    record = {"flow": FLOW, "interface": "br-lan", "internal": True}
    key = target.apply(record, FLOW, 100, None)
    assert key is not None and key[:2] == b"\2\1"
    assert target.apply(record, FLOW, 101, (b"\0\1elem", key)) == key
    desk.log.write_file(CLOCK)
    assert target.apply(record, FLOW, 170, key) == key
    assert target.lasting.apply(record, FLOW, 171, key) == key
    assert target.lasting.apply(record, FLOW, 171, (b"\0\1elem",)) is None, "it had no entry, and gets none"
    assert target.lasting.key_of(record, FLOW) == key
    assert len(desk.log) == 0
    wan = LogTarget(514, desk.log, "wan", None)
    assert wan.apply(record, FLOW, 172, None) is None and wan.key_of(record, FLOW) is None
