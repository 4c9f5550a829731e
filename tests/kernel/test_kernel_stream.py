"""Hostile and broken input: the socket of a root daemon carries strings that strangers chose. No good record is lost."""

from __future__ import annotations

import json
import resource
import socket
from pathlib import Path
from typing import Any

import pytest
from kernel_lab import PATIENCE, Daemon, Lab, eventually, ipset, policy
from samples import Record, as_v3, as_v5, definitions, flow, frame, hello, payload, purge, stats, status

pytestmark = pytest.mark.kernel

POLICY = policy({"i": ipset("i", set_family="ipv4")}, "app == 'facebook';")


def face(number: int, **fields: Any) -> Record:
    """A flow that matches; its element is 203.0.113.NUMBER."""
    return flow("HTTP/S", "netify.facebook", other=f"203.0.113.{number}", **fields)


def arrives(lab: Lab, number: int) -> None:
    """Wait for the element of such a flow."""
    eventually(lambda: f"203.0.113.{number}" in lab.namespace.ipset("i.v4").keys, what=f"the element of flow {number}")


def without(record: Record, *names: str) -> Record:
    return record | {"flow": {name: value for name, value in record["flow"].items() if name not in names}}


def framed(data: bytes, more: int = 0) -> bytes:
    """Bytes with a header whose length is wrong by `more`."""
    return b'{"length": %d}\n' % (len(data) + more) + data


DEEP = b'{"type":"flow","flow":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
LONG_NAME = "a" * 200_000 + ".example"
BAD: dict[str, tuple[bytes, str]] = {
    "garbage": (b"\x00\xff\xfegarbage \x1b[2J\n{]\n" * 20, "length"),
    "header without number": (b'{"length": many}\n' + payload(face(200)), "length"),
    "negative length": (b'{"length": -5}\n' + payload(face(200)), "length"),
    "huge number": (b'{"length": ' + b"9" * 40 + b"}\n", "oversize"),
    "oversize": (framed(b'{"type":"flow","x":"' + b"x" * (2 << 20) + b'"}\n'), "oversize"),
    "broken JSON": (framed(b'{"type":"flow","flow":{"digest":"00",}}\n'), "json"),
    "two values": (framed(b"{} {}\n"), "json"),
    "empty object": (framed(b"{}\n"), "fields"),
    "an array": (framed(b"[1,2,3]\n"), "types"),
    "a number": (framed(b"12345\n"), "types"),
    "deep nesting": (framed(DEEP), "json"),
    "flow is a list": (framed(b'{"type":"flow","flow":[]}\n'), "types"),
    "flow is null": (framed(b'{"type":"flow","flow":null}\n'), "types"),
    "type is a number": (framed(b'{"type":7}\n'), "types"),
    "no digest": (frame(without(face(201), "digest")), "fields"),
    "no address": (frame(without(face(201), "other_ip")), "fields"),
    "no protocol": (frame(without(face(201), "ip_protocol")), "fields"),
    "port is text": (frame(face(201, other_port="443")), "types"),
    "port is too high": (frame(face(201, other_port=70000)), "types"),
    "port is negative": (frame(face(201, other_port=-1)), "types"),
    "port is a fraction": (frame(face(201, other_port=1.5)), "types"),
    "digest is empty": (frame(face(201, digest="")), "types"),
    "digest is long": (frame(face(201, digest="0" * 100_000)), "types"),
    "address is a number": (frame(face(201, local_ip=3232235776)), "types"),
    "ip version 5": (frame(face(201, ip_version=5)), "types"),
    "stats without digest": (framed(b'{"type":"flow_stats","flow":{}}\n'), "fields"),
    "application is a list": (frame(face(201, detected_application=[])), "types"),
    "name is an object": (frame(face(201, detected_application_name={})), "types"),
}  # fmt: skip


@pytest.mark.parametrize("newline", [False, True], ids=["length headers", "one a line"])
def test_bad_records_between_good_ones(lab: Lab, newline: bool) -> None:
    """Each bad thing is counted by its kind and skipped; the good record after it becomes an element."""
    daemon = lab.start(POLICY) if not newline else _start_lines(lab)
    wrong = []
    for number, (name, (data, kind)) in enumerate(BAD.items(), 1):
        if newline:
            data = data.partition(b"\n")[2]
            if kind == "length" or not data:
                continue
        before = daemon.status()["source"]["bad"]
        good = payload(face(number)) if newline else frame(face(number))
        lab.netifyd.send(data + good)
        try:
            arrives(lab, number)
        except AssertionError:
            wrong.append(f"{name}: the good record after it is not there")
        after = daemon.status()["source"]["bad"]
        changed = {other for other in after if after[other] != before[other]}
        if kind not in changed or changed - {kind, "resync_bytes"}:
            wrong.append(f"{name}: counted as {changed}, not as {kind}")
    assert not wrong, "\n".join(wrong)
    assert "203.0.113.201" not in lab.namespace.ipset("i.v4").keys
    assert daemon.status()["source"]["connects"] == 1
    assert daemon.stop() == 0


def _start_lines(lab: Lab) -> Daemon:
    """Start with a netifyd that sends one object a line, as a sink of 5.x without header."""
    lab.netifyd.open()
    daemon = lab.launch(POLICY)
    lab.netifyd.accept()
    lab.netifyd.send(payload(hello()))
    return daemon


@pytest.mark.parametrize("more", [-300, -20, -1, 1, 20, 300, 5000])
def test_wrong_lengths_lose_nothing(lab: Lab, more: int) -> None:
    """A header that counts wrong costs at the most its own record, wherever the bytes are cut."""
    lab.start(POLICY)
    lab.feed(face(1))
    lab.netifyd.send(framed(payload(face(2)), more))
    # As it is on a wire: the next records come later, and in pieces.
    rest = b"".join(frame(face(number)) for number in range(3, 9))
    for start in range(0, len(rest), 1000):
        lab.netifyd.send(rest[start : start + 1000])
    good = {f"203.0.113.{number}" for number in (1, *range(3, 9))}
    eventually(lambda: good <= lab.namespace.ipset("i.v4").keys, what="the good records")
    assert lab.daemon.status()["source"]["bad"]["length"] >= (abs(more) > 1)


def test_optional_parts_of_a_wrong_type_do_not_hide_a_flow_from_other_rules(lab: Lab) -> None:
    """A stranger who chooses a certificate must not be able to switch a whole policy off for his flow."""
    targets = {"i": ipset("i", set_family="ipv4"), "t": ipset("t", set_family="ipv4")}
    config = policy(targets, "app == 'facebook';")
    config["actions"]["all"]["targets"] = ["i"]
    config["actions"]["tls"] = {"criteria": ["ssl_version == 0x0302;", "alpn == 'h2';", "risks == 35;"], "targets": ["t"]}
    lab.start(config)
    status = lab.feed(
        face(1, host_server_name="\x1b]0;owned\x07\x00 \u202e" + "é" * 300),
        face(2, host_server_name=LONG_NAME),
        face(3, other_mac="", local_mac=""),
        face(4, tags=[]),
        face(5, ssl={}),
        face(6, risks={}),
        frame(face(7, host_server_name="INVALID")).replace(b"INVALID", b"\xff\xc3\x28\xed\xa0\x80x"),
        framed(payload(face(8)).replace(b'"ip_nat":false', b'"ip_nat":false,"x":"\\ud800\\u0000"')),
    )
    assert lab.namespace.ipset("i.v4").keys == {f"203.0.113.{number}" for number in range(1, 9)}
    assert sum(status["source"]["bad"].values()) == 0


def test_addresses_that_are_none_are_counted(lab: Lab) -> None:
    """`other_ip` with text in it becomes neither an element nor an exception."""
    lab.start(POLICY)
    for text in ("", "localhost", "203.0.113.9/8", "203.0.113.9\x00", "1", "0x7f.1", "2001:db8::1", "::ffff:203.0.113.9", "é"):
        lab.feed(face(1) | {"flow": face(1)["flow"] | {"other_ip": text}})
    status = lab.feed(face(2))
    assert lab.namespace.ipset("i.v4").keys == {"203.0.113.2"}
    assert status["source"]["bad"]["types"] + status["targets"]["i"]["skipped"] == 9


def test_hostile_strings_reach_no_terminal(lab: Lab) -> None:
    """-v prints names from the network: control characters there could rewrite an administrator's screen."""
    daemon = lab.start(POLICY, options=["-v"])
    evil = "\x1b[31mred\x07\r\nnfa: error: all is lost\u202e\u2028"
    lab.feed(face(1, detected_protocol_name=evil, host_server_name=evil))
    lines = daemon.said("match", "203.0.113.1", "all")
    assert len(lines) == 1
    assert not any(ord(c) < 32 for c in daemon.log.replace("\n", "")) and "\u202e" not in daemon.log
    assert not [line for line in daemon.log.splitlines() if line.startswith("nfa: error: all is lost")]


def test_records_of_three_generations(lab: Lab) -> None:
    """Routers in the field run netifyd 3, 4 and 5."""
    lab.start(policy({"i": ipset("i", set_family="ipv4")}, "app == 'netify.facebook';", "category == 'games';"))
    status_ = lab.feed(
        as_v3(definitions()),
        frame(as_v3(face(3)), newline=False),
        face(4),
        as_v5(face(5)),
        as_v5(face(6), kind="flow_dpi_update"),
        as_v5(face(7), kind="flow_dpi_complete"),
        status(uptime=15),
        stats("1" * 40),
        purge("1" * 40),
        {"type": "something_new", "flow": {}},
    )
    assert lab.namespace.ipset("i.v4").keys == {f"203.0.113.{number}" for number in range(3, 8)}
    kinds = status_["source"]["kinds"]
    assert kinds == {"flow": 5, "stats": 1, "purge": 1, "agent": 2, "names": 1, "other": 1}
    assert sum(status_["source"]["bad"].values()) == 0


def test_category_of_3x_records_comes_from_the_tables(lab: Lab) -> None:
    """3.x sends no category; a rule for social media must match there too."""
    lab.start(policy({"i": ipset("i", set_family="ipv4")}, "category == 'social-media';"))
    lab.feed(as_v3(face(3)), as_v3(flow("HTTP/S", "netify.netflix", other="203.0.113.4")))
    assert lab.namespace.ipset("i.v4").keys == {"203.0.113.3"}


def test_netifyd_comes_late_goes_and_comes_back(lab: Lab) -> None:
    """netifyd starts after the daemon and restarts under it; a record cut in two by that spoils nothing."""
    daemon = lab.launch(POLICY)
    daemon.loaded()
    daemon.until(lambda status: not status["source"]["connected"] and status["source"]["last_error"], "told why")
    lab.netifyd.open()
    lab.netifyd.accept()
    lab.feed(hello(), face(1))
    assert len(daemon.said("warning", "no connection")) == 1 and daemon.said("notice", "connected")
    lab.netifyd.send(frame(face(2)), frame(face(3))[:200])
    arrives(lab, 2)
    lab.netifyd.close()
    daemon.until(lambda status: not status["source"]["connected"], "the loss noticed")
    lab.netifyd.open()
    lab.netifyd.accept()
    lab.netifyd.send(frame(face(4)))
    arrives(lab, 4)
    source = daemon.status()["source"]
    assert (source["reconnects"], source["connects"], source["connected"]) == (1, 2, True)
    assert lab.namespace.ipset("i.v4").keys == {"203.0.113.1", "203.0.113.2", "203.0.113.4"}
    lab.netifyd.drop()
    lab.netifyd.accept()
    # Another kind of framing after a reconnect: recognised anew.
    lab.netifyd.send(payload(face(5)))
    arrives(lab, 5)
    assert lab.netifyd.heard() is None, "silent, and still connected"


def test_the_control_socket_survives_its_clients(lab: Lab) -> None:
    """Whoever talks nonsense on it, or does not read, must not hold up the flows."""
    daemon = lab.start(POLICY)
    silly = [b"\n", b"{}\n", b"[]\n", b'{"method": 7}\n', b'{"method": "nothing"}\n', b"\xff\xfe\n", b"[" * 50_000 + b"\n"]
    with socket.socket(socket.AF_UNIX) as talker:
        talker.settimeout(PATIENCE)
        talker.connect(str(daemon.control))
        for request in silly:
            talker.sendall(request)
            answer = b""
            while not answer.endswith(b"\n"):
                answer += talker.recv(65536)
            assert json.loads(answer)["error"]
    hanging = []
    for _ in range(12):
        idle = socket.socket(socket.AF_UNIX)
        idle.connect(str(daemon.control))
        idle.setblocking(False)
        hanging.append(idle)
    try:
        for idle in hanging[:3]:
            try:
                while True:
                    idle.send(b'{"method": "status"}\n' * 1000)
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                pass
        lab.feed(face(1))
        assert lab.namespace.ipset("i.v4").keys == {"203.0.113.1"}
    finally:
        for idle in hanging:
            idle.close()
    assert daemon.status()["memory"]["rss_kb"] < 40_000


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_reconnects_leak_no_descriptors(lab: Lab) -> None:
    """A netifyd in a crash loop must not exhaust the daemon."""
    daemon = lab.start(POLICY)
    before = descriptors(daemon.pid)
    assert before < resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    for _ in range(4):
        lab.netifyd.drop()
        lab.netifyd.accept()
        lab.netifyd.send(hello())
        daemon.until(lambda status: status["source"]["connects"] == lab.netifyd.connections and status["source"]["connected"])
    # One more may be the end of a status question, which is there for a moment only.
    eventually(lambda: descriptors(daemon.pid) <= before, what="as many descriptors as before")


def test_a_netifyd_that_drops_every_client_at_once_floods_no_log(lab: Lab) -> None:
    """At four attempts a second the log would be full of it, and the cause be lost."""
    lab.netifyd.open()
    daemon = lab.launch(POLICY)
    for _ in range(8):
        lab.netifyd.accept()
        lab.netifyd.drop()
    lab.netifyd.accept()
    assert len(daemon.said("connected to")) == len(daemon.said("no connection")) == 1
    lab.feed(hello(), face(1))
    eventually(lambda: len(daemon.said("connected to")) == 2, what="the connection that lasts is reported")
    assert daemon.status()["source"]["connected"]
