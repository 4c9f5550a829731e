"""The connection to ubus against the real ubusd, the `ubus` command, rpcd and uhttpd.

The client under test turns its loop in this process, while the other programs run beside it.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from loops import Strict
from peers import NO_SESSION, PATIENCE, RIGHTS, USER, Caller, Rpcd, Ubusd, Uhttpd
from waiting import patience

from nfa.daemon.bus.ubus import MAX_MESSAGE, Ubus

T = TypeVar("T")
Data = dict[str, Any]
Reply = Callable[[int, "Data | None"], None]
METHODS: dict[str, dict[str, str]] = {
    "echo": {"text": "string", "number": "integer", "yes": "boolean", "list": "array", "table": "table", "anything": "any"},
    "refuse": {"status": "integer"},
    "later": {},
    "nothing": {},
    "odd": {},
    "long": {"size": "integer"},
}
ODD = {
    "": 1,
    "a\0b": "c\0d",
    "half \ud800": "\udcff",
    "nan": float("nan"),
    "large": 1 << 64,
    "control": "\x01\x1f\x7f",
}


class Host:
    """An object `nfa` on a bus, in a loop like the daemon's."""

    def __init__(self, path: str) -> None:
        self.said: list[tuple[str, str]] = []
        self.asked: list[tuple[str, Data, Reply]] = []
        self.dispatcher = Strict()
        self.longest_turn = 0.0
        self.bus = Ubus(path, "nfa", METHODS, self.call, lambda level, text: self.said.append((level, text)))
        self.bus.open(self.dispatcher)

    def call(self, method: str, arguments: Data, reply: Reply) -> None:
        self.asked.append((method, arguments, reply))
        if method == "refuse":
            reply(arguments["status"], {"error": "because the test says so"})
        elif method == "nothing":
            reply(0, None)
        elif method == "odd":
            reply(0, ODD)
        elif method == "long":
            reply(0, {"text": "x" * arguments["size"]})
        elif method == "echo":
            reply(0, arguments)

    def turn(self) -> None:
        """One turn of the loop; it sleeps until the deadline, or 10 ms."""
        self.dispatcher.turn(10)
        self.longest_turn = max(self.longest_turn, time.monotonic() - self.dispatcher.moment)

    def turns(self, seconds: float) -> None:
        """Go on for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.turn()

    def until(self, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Turn until it is so."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s: {self.bus.state}, {self.said}"
            self.turn()

    def beside(self, work: Callable[[], T]) -> T:
        """Turn while something else is done, which may wait for this object; return its result."""
        results: list[T] = []
        worker = threading.Thread(target=lambda: results.append(work()))
        worker.start()
        self.until(lambda: not worker.is_alive())
        assert results, "it failed, see above"
        return results[0]

    def serve(self, command: subprocess.Popen[str]) -> tuple[int, Any]:
        """Turn until a `ubus call` has ended: its status, and the JSON that it printed or None."""
        out, _ = self.beside(command.communicate)
        return -command.returncode % 256, json.loads(out) if out else None

    def there(self) -> bool:
        """Whether the object is on the bus, as far as the client knows."""
        return self.bus.state == "registered"


@pytest.fixture
def host(ubusd: Ubusd) -> Iterator[Host]:
    made = Host(ubusd.socket)
    made.until(made.there)
    yield made
    made.bus.close()


def call(ubusd: Ubusd, host: Host, method: str, arguments: Data | None = None) -> tuple[int, Any]:
    """`ubus call nfa METHOD [JSON]`: the status, and the JSON that was printed or None."""
    words = [] if arguments is None else [json.dumps(arguments, ensure_ascii=False)]
    return host.serve(ubusd.run("call", "nfa", method, *words))


def test_the_signature_is_listed(ubusd: Ubusd, host: Host) -> None:
    """Who wants to know what can be asked types `ubus -v list nfa`."""
    out, _ = host.beside(ubusd.run("-v", "list", "nfa").communicate)
    head, *lines = out.splitlines()
    assert head.startswith("'nfa' @")
    found = json.loads("{" + ",".join(line.strip() for line in lines) + "}")
    words = {name: name.capitalize() for name in ("string", "integer", "boolean", "array", "table")} | {"any": "(unknown)"}
    assert found == {method: {name: words[kind] for name, kind in types.items()} for method, types in METHODS.items()}
    assert list(found) == list(METHODS)


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        {},
        {"text": 'Grüße ☃ 😀 \t"quoted" \\ \x01'},
        {"number": 2147483647, "low": -2147483648},
        {"number": 2147483648, "large": 9223372036854775807, "low": -9223372036854775808},
        {"yes": True, "no": False, "anything": None},
        {"anything": 1.5},
        {"list": [], "table": {}},
        {"list": [1, "a", [None, [True]], {"b": [1.25]}], "table": {"a": {"b": {"c": [{}]}}}},
        {"x" * 300: "y" * 60_000},
    ],
)
def test_arguments_arrive_and_answers_return(ubusd: Ubusd, host: Host, arguments: Data | None) -> None:
    """Every type that the ubus command can send, there and back; deep ones, long ones, and none."""
    assert call(ubusd, host, "echo", arguments) == (0, arguments or {})
    assert host.asked[0][1] == (arguments or {})


def test_what_cannot_be_said_on_the_bus_is_still_json(ubusd: Ubusd, host: Host) -> None:
    """LuCI and shell scripts parse what is printed: one odd name would break the whole answer."""
    assert call(ubusd, host, "odd") == (0, {
        "(empty)": 1,
        "a\\x00b": "c\\x00d",
        "half \\ud800": "\\udcff",
        "nan": None,
        "large": float(1 << 64),
        "control": "\x01\x1f\x7f",
    })  # fmt: skip


def test_statuses_and_explanations_arrive(ubusd: Ubusd, host: Host) -> None:
    """A refusal is a status for scripts, and words for people."""
    for status in (1, 2, 4, 5, 6, 8, 9):
        assert call(ubusd, host, "refuse", {"status": status}) == (status, {"error": "because the test says so"})
    assert call(ubusd, host, "nothing") == (0, None)
    assert call(ubusd, host, "unheard") == (3, None)
    assert "unheard" not in [method for method, _, _ in host.asked]


def test_an_answer_may_be_put_off(ubusd: Ubusd, host: Host) -> None:
    """`reload` answers when it is done; others are answered meanwhile."""
    waiting = ubusd.run("call", "nfa", "later")
    host.until(lambda: host.asked)
    assert call(ubusd, host, "echo", {"text": "meanwhile"}) == (0, {"text": "meanwhile"})
    assert waiting.poll() is None
    host.asked[0][2](0, {"done": True})
    assert host.serve(waiting) == (0, {"done": True})


def test_a_caller_that_went_away_is_no_trouble(ubusd: Ubusd, host: Host) -> None:
    """Somebody pressed Ctrl-C: the answer goes nowhere."""
    waiting = ubusd.run("call", "nfa", "later")
    host.until(lambda: host.asked)
    waiting.kill()
    waiting.communicate()
    host.asked[0][2](0, {"done": True})
    assert call(ubusd, host, "echo") == (0, {})
    assert host.bus.connects == 1


LONGEST = MAX_MESSAGE - 37
"""Bytes of text in the longest answer: before it are 36 bytes of headers and names, behind it is a NUL."""


@pytest.mark.parametrize("slow", [False, True])
def test_the_longest_answer_goes_through(ubusd: Ubusd, host: Host, slow: bool) -> None:
    """ubusd drops what is longer, with the client or without a word; and for a slow reader it keeps no more than 1 MiB."""
    reader = ubusd.run("call", "nfa", "long", json.dumps({"size": LONGEST}))
    if slow:
        host.until(lambda: host.bus.calls)
        reader.send_signal(signal.SIGSTOP)
        host.turns(0.2)
        reader.send_signal(signal.SIGCONT)
    assert host.serve(reader) == (0, {"text": "x" * LONGEST})
    status, data = call(ubusd, host, "long", {"size": LONGEST + 1})
    assert (status, host.bus.long_answers) == (9, 1)
    assert "ask for less" in data["error"]
    assert host.bus.connects == 1


def test_events_are_heard(ubusd: Ubusd, host: Host) -> None:
    """`ubus listen` shows what happens, as it happens."""
    listener = ubusd.run("listen", "nfa.*")
    try:
        assert listener.stdout is not None
        lines: list[str] = []
        threading.Thread(target=lambda: lines.extend(iter(listener.stdout.readline, "")), daemon=True).start()
        host.until(lambda: host.bus.event("nfa.match", {}) and lines)  # it listens from some moment on
        data = {"action": "block", "flow": {"host": "Grüße", "port": 443}, "targets": ["a", "b"], "left_out": 0}
        assert host.bus.event("nfa.reload", data)
        host.until(lambda: "nfa.reload" in lines[-1])
        assert json.loads(lines[-1]) == {"nfa.reload": data}
        assert host.bus.dropped_events == 0
    finally:
        listener.kill()
        listener.wait()


def test_the_object_is_back_after_every_kill_of_ubusd(ubusd: Ubusd, host: Host) -> None:
    """procd starts ubusd again; the object is there again, twenty times."""
    delays = []
    for number in range(20):
        ubusd.kill()
        host.until(lambda: not host.there())
        host.turns(number % 5 * 0.25)  # it stays away for up to a second
        ubusd.start()
        back = time.monotonic()
        host.until(host.there)
        delays.append(time.monotonic() - back)
        assert call(ubusd, host, "echo", {"number": number}) == (0, {"number": number})
    print(f"object back {statistics.median(delays):.3f} s (median), {max(delays):.3f} s (at most) after ubusd")
    assert host.longest_turn < PATIENCE / 2, "it waited for ubusd"
    assert host.bus.connects == 21
    assert len(host.said) <= 1 + 20 * 4, "each outage is told, not each attempt"


def test_a_ubusd_that_hangs_disturbs_nothing(ubusd: Ubusd, host: Host) -> None:
    """Nothing waits for it; what was to be said is said when it goes on."""
    waiting = ubusd.run("call", "nfa", "later")
    host.until(lambda: host.asked)
    ubusd.pause()
    host.longest_turn = 0.0
    sent = 0
    while host.bus.event("nfa.match", {"text": "x" * 10_000}):
        sent += 1
        host.turn()
    host.asked[0][2](0, {"done": True})
    host.turns(0.5)
    assert host.longest_turn < PATIENCE / 2, "it waited for ubusd"
    assert host.there(), "a ubusd that hangs may go on"
    ubusd.resume()
    assert host.serve(waiting) == (0, {"done": True})
    assert call(ubusd, host, "echo") == (0, {})
    assert host.bus.event("nfa.match", {})
    assert (host.bus.connects, host.bus.dropped_events) == (1, 1)
    assert sent > 20


def test_a_ubusd_that_hangs_at_the_start_is_waited_for(ubusd: Ubusd) -> None:
    """The kernel takes connections for it; it greets when it goes on."""
    ubusd.pause()
    host = Host(ubusd.socket)
    host.turns(0.2)
    assert host.bus.state == "connecting"
    ubusd.resume()
    host.until(host.there)
    host.bus.close()


def test_a_second_object_of_that_name_is_refused_and_told(ubusd: Ubusd, host: Host) -> None:
    """Two daemons run: the second says so, and takes over when the first ends."""
    second = Host(ubusd.socket)
    second.until(lambda: second.bus.last_error)
    assert "its name is taken" in second.said[0][1]
    host.bus.close()
    second.until(second.there)
    assert [level for level, _ in second.said] == ["warning", "notice"]
    second.bus.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else for a moment")
def test_a_user_without_rights_is_told(ubusd: Ubusd, monkeypatch: pytest.MonkeyPatch) -> None:
    """ubusd lets others than root publish only what /usr/share/acl.d allows."""
    # The folders above are private, so the way to the socket is a short one.
    folder = Path(ubusd.socket).parent
    folder.chmod(0o755)
    monkeypatch.chdir(folder)
    os.seteuid(65534)
    try:
        host = Host(Path(ubusd.socket).name)
    finally:
        os.seteuid(0)
    assert host.bus.state == "connecting", host.said
    host.until(lambda: host.bus.last_error)
    assert "this user may not publish it" in host.said[0][1]
    host.bus.close()


def test_many_calls_at_once_are_all_answered(ubusd: Ubusd, host: Host) -> None:
    """More than one turn takes."""
    commands = [ubusd.run("call", "nfa", "echo", json.dumps({"number": number})) for number in range(30)]
    assert [host.serve(command) for command in commands] == [(0, {"number": number}) for number in range(30)]


def test_calls_are_quick(ubusd: Ubusd, host: Host) -> None:
    """A page of LuCI asks several things, again every few seconds."""

    def measure() -> list[float]:
        times = []
        with Caller(ubusd.socket) as caller:
            target = caller.find("nfa")
            assert target is not None
            for number in range(1000):
                start = time.perf_counter()
                assert caller.invoke(target, "echo", {"number": number}) == (0, {"number": number})
                times.append(time.perf_counter() - start)
        return times

    times = host.beside(measure)
    print(f"a call takes {statistics.median(times) * 1e3:.3f} ms (median), {max(times) * 1e3:.3f} ms (at most)")
    assert statistics.median(times) < patience(0.05), "a call waited for the next turn of the loop"


# -- through uhttpd, as a browser asks


def test_a_browser_can_call(host: Host, web: Uhttpd) -> None:
    """LuCI calls through uhttpd, which adds the session to the arguments."""
    arguments = {"text": "Grüße", "number": 1 << 40, "yes": True, "list": [1, None], "table": {"a": {}}}
    answer = arguments | {"ubus_rpc_session": web.session}
    assert host.beside(lambda: web.jsonrpc("nfa", "echo", arguments)) == (0, answer)
    assert host.beside(lambda: web.jsonrpc("nfa", "nothing", {})) == (0, None)
    assert host.beside(lambda: web.jsonrpc("nfa", "refuse", {"status": 2})) == (2, {"error": "because the test says so"})
    assert host.beside(lambda: web.jsonrpc("nfa", "unheard", {})) == (3, None)
    assert host.beside(lambda: web.jsonrpc("nobody", "echo", {})) == (-32000, None)
    status, data = host.beside(lambda: web.jsonrpc("nfa", "odd", {}))
    assert status == 0 and data is not None and data["(empty)"] == 1
    assert host.beside(lambda: web.jsonrpc("nfa", "long", {"size": LONGEST})) == (0, {"text": "x" * LONGEST})


def test_a_browser_needs_the_right(host: Host, web: Uhttpd) -> None:
    """Who has not logged in is not let through; the object is not even asked."""
    web.session = NO_SESSION
    assert host.beside(lambda: web.jsonrpc("nfa", "echo", {})) == (-32002, None)
    assert not host.asked


def test_a_wrong_password_is_no_login(web: Uhttpd) -> None:
    """Or the tests with a session would say nothing about rights."""
    assert web.jsonrpc("session", "login", {"username": USER, "password": "another"}) == (6, None)


def test_rights_may_be_given_by_method(ubusd: Ubusd, web_programs: None, tmp_path: Path) -> None:
    """As a package gives them to who may only look: a file in acl.d with the methods that read."""
    rights = {
        "look.json": {"look": {"read": {"ubus": {"session": ["list"]}}}},
        "login.json": {"unauthenticated": RIGHTS["unauthenticated"]},
    }
    with Rpcd(tmp_path, ubusd.socket, rights), Uhttpd(tmp_path, ubusd.socket) as web:
        web.login()
        assert web.jsonrpc("session", "list", {})[0] == 0
        assert web.jsonrpc("session", "create", {}) == (-32002, None)


def test_without_rights_everybody_may_call(ubusd: Ubusd, host: Host, web_programs: None, tmp_path: Path) -> None:
    """`uhttpd -a`, for tests that need no rpcd."""
    with Uhttpd(tmp_path, ubusd.socket, authenticate=False) as web:
        assert host.beside(lambda: web.jsonrpc("nfa", "nothing", {})) == (0, None)
