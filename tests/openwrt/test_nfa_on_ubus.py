"""The daemon as a citizen of OpenWrt's bus: every method through `ubus` and through a browser's JSON-RPC, while it works."""

from __future__ import annotations

import json
import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kernel_lab import ROOT, Lab, environment, eventually, ipset, nftset, policy, private_namespace
from peers import RIGHTS, Caller, Rpcd, Ubusd, Uhttpd
from samples import flow, recording

from nfa.daemon.bus.methods import METHODS

pytestmark = pytest.mark.kernel

CONFIG = policy({"n": nftset("n", "other_addr", ttl=600), "i": ipset("i", ttl=600)}, "port == 443;")
ARGUMENTS: dict[str, dict[str, Any]] = {
    "elements": {"target": "n", "search": "203", "offset": 0, "limit": 10},
    "matches": {"limit": 5},
    "check": {"criteria": "app == 'youtube';"},
    "apps": {"search": "youtube"},
    "flush": {"target": "i"},
    "pause": {"name": "i", "seconds": 60},
    "resume": {"name": "i"},
    "adopt": {"dry_run": True},
}


@pytest.fixture
def lab(ubusd: Ubusd, tmp_path: Path) -> Iterator[Lab]:
    """A network namespace with netifyd and the daemon, which is on the bus and has matched a flow."""
    with private_namespace() as namespace:
        if not namespace.alive:
            pytest.skip("no private network namespace: needs root, or user namespaces")
        namespace.run("ip", "address", "add", "192.168.1.1/24", "dev", "lo")  # without one, `adopt` could not spare the router
        made = Lab(namespace, tmp_path)
        try:
            made.start(CONFIG, options=["--ubus", ubusd.socket])
            made.feed(flow(other="203.0.113.1"))
            eventually(lambda: ubusd.has("nfa"), what="the object on the bus")
            yield made
        finally:
            made.close()


def arguments_of(method: str, lab: Lab) -> dict[str, Any]:
    return {"flow": flow(other="203.0.113.1")["flow"]["digest"]} if method == "explain" else ARGUMENTS.get(method, {})


def test_every_method_answers_the_same_on_the_bus_and_to_a_browser(lab: Lab, ubusd: Ubusd, web: Uhttpd) -> None:
    """LuCI would show less than `ubus call` does, or an empty page."""
    for method in METHODS:
        given = arguments_of(method, lab)
        done = ubusd.ubus("call", "nfa", method, json.dumps(given))
        assert done.returncode == 0, (method, done.stdout, done.stderr)
        code, data = web.jsonrpc("nfa", method, given)
        assert code == 0, method
        assert data is not None
        said = json.loads(done.stdout)
        assert set(data) == set(said), method
        assert "error" not in data
        if method in ("elements", "matches", "explain", "check", "apps", "protocols", "categories"):
            assert data == said or method == "elements", method


def test_wrong_calls_have_the_statuses_of_ubus(lab: Lab, ubusd: Ubusd, web: Uhttpd) -> None:
    """A script could not tell a slip from a failure."""
    with Caller(ubusd.socket) as caller:
        assert caller.call("nfa", "elements", {"limit": "ten"})[0] == 2
        assert caller.call("nfa", "flush", {})[0] == 2
        status, data = caller.call("nfa", "flush", {"target": "nn"})
        assert (status, data and "known: n, i" in data["error"]) == (4, True)
        assert caller.call("nfa", "nonsense", {})[0] == 3
    assert web.jsonrpc("nfa", "flush", {"target": "nn"})[0] == 4


def test_the_rights_of_the_page_let_who_may_read_look_and_no_more(
    lab: Lab, ubusd: Ubusd, web_programs: None, tmp_path: Path
) -> None:
    """A login that is to see the status could empty the sets, or not see it."""
    page = (ROOT / "docs" / "bus.md").read_text(encoding="utf-8")
    rights = json.loads(page.partition("```json\n")[2].partition("```")[0])
    rpcd = Rpcd(tmp_path, ubusd.socket, {"nfa.json": rights, "login.json": {"unauthenticated": RIGHTS["unauthenticated"]}})
    logins = rpcd.config / "rpcd"
    logins.write_text(logins.read_text().replace("\tlist write '*'\n", ""))
    with rpcd, Uhttpd(tmp_path, ubusd.socket) as web:
        web.login()
        assert {method for method in METHODS if web.jsonrpc("nfa", method, arguments_of(method, lab))[0] == 0} == {*METHODS} - {
            "reload",
            "flush",
            "pause",
            "resume",
            "adopt",
            "forget_usage",
            "notice",
        }
        assert web.jsonrpc("nfa", "flush", {"target": "i"}) == (-32002, None)


def test_a_thousand_calls_while_a_stream_comes_at_full_speed(
    lab: Lab, ubusd: Ubusd, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page would hang whenever the network is busy, or the network's records be lost whenever somebody looks."""
    stream = lab.folder / "stream.bin"
    stream.write_bytes(recording(flows=3000, gap=20))
    lab.netifyd.close()
    server = subprocess.Popen(
        [sys.executable, "-m", "nfa", "replay", str(stream), "--listen", lab.netifyd.uri, "--speed", "full", "--loop", "0"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(), cwd=ROOT,
    )  # fmt: skip
    took: list[float] = []
    try:
        lab.daemon.until(lambda status: status["source"]["connects"] == 2, "the replay is read")
        before = lab.daemon.status()
        methods = ["status", "actions", "targets", "elements", "matches", "apps", "protocols", "categories"]
        with Caller(ubusd.socket) as caller:
            target = caller.find("nfa")
            assert target is not None
            for number in range(1000):
                method = methods[number % len(methods)]
                began = time.perf_counter()
                status, data = caller.invoke(target, method, ARGUMENTS.get(method, {}))
                took.append(time.perf_counter() - began)
                assert status == 0 and data, method
        after = lab.daemon.status()
    finally:
        server.kill()
        server.wait()
    assert after["source"]["records"] > before["source"]["records"]
    assert not any(after["source"]["bad"].values())
    assert after["source"]["reconnects"] == 1
    rate = (after["flows"]["evaluated"] - before["flows"]["evaluated"]) / sum(took)
    with capsys.disabled():
        print(
            f"\n1,000 calls: median {statistics.median(took) * 1000:.2f} ms, 99 % {sorted(took)[989] * 1000:.2f} ms,"
            f" at {rate:,.0f} flow records a second; longest turn of the loop {after['loop']['longest_ms']} ms"
        )


def test_memory_with_uci_json_and_ubus_after_many_reloads(ubusd: Ubusd, tmp_path: Path) -> None:
    """Every save in LuCI would take some memory for good, until the router has none left: 14 MB with 100 actions."""
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "netify-proc-flow-actions").write_text(
        "".join(f"config action 'u{n}'\n\toption criteria 'port == {n};'\n\toption target 'n'\n" for n in range(1, 51))
    )
    actions = {f"j{n}": {"criteria": f"app == 'youtube' && other_port == {n};", "targets": ["i"]} for n in range(1, 51)}
    with private_namespace() as namespace:
        if not namespace.alive:
            pytest.skip("no private network namespace: needs root, or user namespaces")
        lab = Lab(namespace, tmp_path)
        try:
            lab.start(CONFIG | {"actions": actions}, options=["-u", str(folder), "--ubus", ubusd.socket])
            eventually(lambda: ubusd.has("nfa"), what="the object on the bus")
            with Caller(ubusd.socket) as caller:
                for number in range(30):
                    lab.feed(*[flow(other=f"203.0.113.{n}", other_port=n) for n in range(1, 51)])
                    status, data = caller.call("nfa", "reload", {})
                    assert status == 0 and data and data["loaded"], data
                    if number == 9:
                        early = lab.daemon.status()["memory"]["rss_kb"]
            late = lab.daemon.status()["memory"]["rss_kb"]
        finally:
            lab.close()
    assert late <= 14_000_000 // 1000
    assert late - early < 400


def test_twenty_deaths_of_ubusd_disturb_nothing(lab: Lab, ubusd: Ubusd, capsys: pytest.CaptureFixture[str]) -> None:
    """procd restarts ubusd; the object must come back by itself, and the firewall's work go on meanwhile."""
    slowest = 0.0
    for number in range(20):
        ubusd.kill()
        lab.feed(flow(other=f"198.51.100.{number}"))
        assert (f"198.51.100.{number}",) in lab.namespace.nft_set("nfa n.v4").keys
        ubusd.start()
        began = time.monotonic()
        eventually(lambda: ubusd.has("nfa"), what="the object is back")
        slowest = max(slowest, time.monotonic() - began)
    with Caller(ubusd.socket) as caller:
        status, data = caller.call("nfa", "status", {})
    assert status == 0 and data
    assert data["ubus"]["connects"] == 21
    assert data["flows"]["matched"] == 21
    with capsys.disabled():
        print(f"\n20 deaths of ubusd: back within {slowest:.2f} s at the latest")


def test_a_ubusd_that_hangs_disturbs_nothing(lab: Lab, ubusd: Ubusd) -> None:
    """Events pile up for a reader that does not read; the stream must not wait for it."""
    ubusd.pause()
    for number in range(3000):
        lab.netifyd.send(flow(other=f"198.51.{number >> 8}.{number & 255}"))
    lab.daemon.until(lambda status: status["flows"]["matched"] == 3001, "all records read")
    ubusd.resume()
    with Caller(ubusd.socket) as caller:
        assert caller.call("nfa", "status", {})[0] == 0


def test_what_happens_is_told_as_events(lab: Lab, ubusd: Ubusd) -> None:
    """A script that mails when a set fails, a page that follows matches."""
    listener = Listener(ubusd, "nfa.match", "nfa.reload", "nfa.source", "nfa.target")
    try:
        # Until the listener is registered, its events are nobody's.
        for number in range(200):
            lab.feed(flow(other=f"198.51.100.{number}"))
            if listener.hear(0.05):
                break
        lab.netifyd.drop()
        lab.netifyd.accept()
        with Caller(ubusd.socket) as caller:
            caller.call("nfa", "reload", {})
        lab.namespace.nft(
            "delete set inet nfa n.v4",
            "add set inet nfa n.v4 { type inet_service; }",
            "add chain inet nfa used",
            "add rule inet nfa used tcp dport @n.v4 drop",  # so it cannot be replaced
        )
        lab.netifyd.send(flow(other="198.51.100.250"))
        eventually(lambda: listener.hear(0.1) and "nfa.target" in listener.heard, what="all four events")
    finally:
        listener.close()
    assert listener.heard["nfa.match"][0]["actions"] == ["all"]
    assert listener.heard["nfa.reload"][0]["loaded"] is True
    assert [data["state"] for data in listener.heard["nfa.source"]] == ["lost", "connected"]
    assert {data["target"]: data["state"] for data in listener.heard["nfa.target"]} == {"n": "error"}


class Listener:
    """`ubus listen`: `heard` is the data of each event, by its name."""

    def __init__(self, ubusd: Ubusd, *names: str) -> None:
        self.heard: dict[str, list[dict[str, Any]]] = {}
        self._process = ubusd.run("listen", *names)
        assert self._process.stdout is not None
        self._descriptor = self._process.stdout.fileno()
        self._buffer = b""

    def hear(self, seconds: float) -> bool:
        """Wait for events. Returns whether any were ever heard."""
        if select.select([self._descriptor], [], [], seconds)[0]:
            self._buffer += os.read(self._descriptor, 1 << 16)
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            for name, data in json.loads(line).items():
                self.heard.setdefault(name, []).append(data)
        return bool(self.heard)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
