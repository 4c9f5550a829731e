"""What the kernel tests are made of: a private network namespace, the daemon in it, and a netifyd under the test's control.

In: configurations, and records or raw bytes to send. Out: what an administrator sees: sets as `nft` and `ipset` list them,
the daemon's status, its messages, files and exit code. Nothing here uses the code under test; the daemon is a process.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import IO, Any, TypeVar

from lab_clock import Clock
from lab_program import altered, becomes, with_constants, with_statements
from samples import Record, frame, hello
from waiting import PATIENCE, eventually, patience
from warm_python import WarmPython, at_start

ROOT = Path(__file__).resolve().parents[1]
LOOKS_OFTEN = {"watching.EVERY": 0.2}
"""Constants of a daemon that notices at once that a file has changed, instead of within two seconds."""
SHARED = Path(os.environ.get("NFA_SHARED", ROOT.parent / "shared"))
T = TypeVar("T")
PATH = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"  # Debian gives an ordinary user no sbin, where nft is


@dataclass
class KernelSet:
    """A set as its tool lists it. Keys of `elements` are tuples of text (nft) or ipset's text; values are options as text."""

    type: str
    options: dict[str, str]
    elements: dict[Any, dict[str, str]] = field(default_factory=dict)

    @property
    def keys(self) -> set[Any]:
        return set(self.elements)

    def left(self, key: Any) -> float:
        """Seconds that an element still has."""
        options = self.elements[key]
        return float(options["expires"] if "expires" in options else options["timeout"])


def logged(records: list[Record], matches: Callable[[Record], object]) -> list[Record]:
    """What a log target has of these records: the last record of each flow that matches, in the order of their first."""
    entries: list[Record] = []
    live: dict[str, int] = {}
    for record in records:
        inner = record.get("flow", {})
        if record["type"] == "flow_purge":
            live.pop(inner["digest"], None)
        elif record["type"] in ("flow", "flow_dpi_update", "flow_dpi_complete") and matches(inner):
            if inner["digest"] not in live:
                live[inner["digest"]] = len(entries)
                entries.append(inner)
            entries[live[inner["digest"]]] = inner
    return entries


class Namespace:
    """A network namespace of its own, alive as long as its holder process. Root, or a user that may make user namespaces."""

    def __init__(self, beside: Namespace | None = None) -> None:
        """`beside`: a namespace that this one can be joined to by a veth pair."""
        self.rootless = os.geteuid() != 0
        unshare = [*beside.prefix, "unshare", "-n"] if beside else ["unshare", "-rn" if self.rootless else "-n"]
        self._holder = subprocess.Popen(
            [*unshare, "sh", "-c", "echo there; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip
        assert self._holder.stdout is not None
        self.alive = self._holder.stdout.readline() == "there\n"
        # The holder ends when its standard input does: also when the tests are killed.
        enter = ["-U", "--preserve-credentials", "-n"] if self.rootless else ["-n"]
        self.prefix = ["nsenter", "-t", str(self._holder.pid), *enter]

    @property
    def pid(self) -> int:
        """A process in it."""
        return self._holder.pid

    def close(self) -> None:
        self._holder.communicate()

    def attempt(self, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command inside; whatever comes of it."""
        return subprocess.run(
            [*self.prefix, *command],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=patience(60),
            env=environment(),
        )

    def popen(self, *command: str, output: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a command inside that goes on, and writes into a file."""
        return subprocess.Popen([*self.prefix, *command], stdin=-3, stdout=output, stderr=output, env=environment())

    def run(self, *command: str, text: str = "") -> str:
        """Run a command that has to work; return what it printed."""
        done = self.attempt(*command, text=text)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def ip(self, *commands: str) -> None:
        """Run commands of `ip`, one after the other in one process. Each has to work."""
        self.run("ip", "-batch", "-", text="\n".join(commands) + "\n")

    def nft(self, *commands: str) -> None:
        """Run nft commands, as one transaction."""
        self.run("nft", "-f", "-", text="\n".join(commands) + "\n")

    def nft_sets(self) -> dict[str, KernelSet]:
        """All nftables sets, by `TABLE NAME`."""
        found = {}
        for entry in json.loads(self.run("nft", "-nn", "-j", "list", "ruleset"))["nftables"]:
            if "set" not in entry:
                continue
            data = entry["set"]
            kind = data["type"]
            options = {key: str(data[key]) for key in ("timeout", "size", "handle", "family") if key in data}
            made = KernelSet(kind if isinstance(kind, str) else " . ".join(kind), options)
            for element in data.get("elem", []):
                attributes = element.get("elem", {}) if isinstance(element, dict) else {}
                value = attributes.get("val", element)
                parts = value["concat"] if isinstance(value, dict) else [value]
                rest = {key: str(item) for key, item in attributes.items() if key != "val"}
                made.elements[tuple(map(str, parts))] = rest
            found[f"{data['table']} {data['name']}"] = made
        return found

    def nft_keys(self, table: str, name: str, family: str = "inet") -> set[Any]:
        """The keys of one set of single fields, as quickly as nft lists them; empty when there is no such set."""
        done = self.attempt("nft", "-nn", "-j", "list", "set", family, table, name)
        found = json.loads(done.stdout)["nftables"][1]["set"].get("elem", []) if done.returncode == 0 else []
        return {(each["elem"]["val"] if isinstance(each, dict) else each,) for each in found}

    def nft_set(self, name: str) -> KernelSet:
        return self.nft_sets().get(name) or KernelSet("", {})

    def ipsets(self) -> dict[str, KernelSet]:
        """All ipsets, by name."""
        found: dict[str, KernelSet] = {}
        for line in self.run("ipset", "save").splitlines():
            command, name, first, *words = line.split()
            if command == "create":
                flags = [word for word in words if word in ("skbinfo", "comment", "counters")]
                rest = [word for word in words if word not in flags]
                options = dict(zip(rest[::2], rest[1::2], strict=True)) | dict.fromkeys(flags, "")
                found[name] = KernelSet(first, options)
            else:
                found[name].elements[first] = dict(zip(words[::2], words[1::2], strict=True))
        return found

    def ipset(self, name: str) -> KernelSet:
        return self.ipsets().get(name) or KernelSet("", {})


def environment() -> dict[str, str]:
    """The environment of processes under test: they find this repository's nfa, installed or not, and need no orjson.

    What these tests themselves found by PYTHONPATH, processes find as well.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    own = {"PATH": PATH, "PYTHONPATH": path, "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
    return {"NFA_JSON": "standard", **os.environ, **own}


COLD = bool(os.environ.get("NFA_COLD"))
"""Start each program as a router does, however long the tests take."""
_warm: dict[tuple[tuple[str, str], ...], WarmPython] = {}


def warm(environment: Mapping[str, str]) -> str:
    """Return a program that does what Python does in this environment, without its imports (see `warm_python`)."""
    key = tuple(at_start(environment).items())
    if COLD:
        return sys.executable
    if key not in _warm:
        # Commands, children of a daemon, children of a daemon that is part of a test; a test's own settings start cold.
        if len(_warm) == 3:
            return sys.executable
        _warm[key] = WarmPython(environment)
        atexit.register(_warm[key].close)
    return _warm[key].path


_prctl = ctypes.CDLL(None).prctl


def die_with_us() -> None:
    """For a child: the kernel ends it with the process that started it, also when that one is killed."""
    _prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG of linux/prctl.h


def _die_with_us_and_hold() -> None:
    """The same for what `nfa run` becomes: it holds signals back until the daemon hears them."""
    die_with_us()
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGTERM, signal.SIGINT))


def _bytes_of(records: Sequence[Record | bytes]) -> bytes:
    return b"".join(item if isinstance(item, bytes) else frame(item) for item in records)


class Netifyd:
    """Listens where netifyd does, and sends what a test tells it to. It checks that the client never writes a byte."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.uri = f"unix://{path}"
        self.connections = 0
        self._client: socket.socket | None = None
        self._listener: socket.socket | None = None

    def open(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(4)
        self._listener.settimeout(PATIENCE)

    def accept(self) -> None:
        """Wait for the daemon to connect."""
        assert self._listener is not None
        self._client, _ = self._listener.accept()
        self._client.settimeout(PATIENCE)
        self.connections += 1

    def send(self, *records: Record | bytes) -> None:
        """Send records with length headers, and bytes as they are."""
        assert self._client is not None
        self._client.sendall(_bytes_of(records))

    def heard(self) -> bytes | None:
        """What the client wrote: None as long as it is connected and silent, b"" when it has closed."""
        assert self._client is not None
        try:
            self._client.settimeout(0)
            return self._client.recv(100)
        except BlockingIOError:
            return None
        finally:
            self._client.settimeout(PATIENCE)

    def drop(self) -> None:
        """Close the connection to the daemon, not the socket that listens."""
        if self._client is not None:
            try:
                assert not self.heard(), "netifyd drops a client that writes"
            except ConnectionError:
                pass
            self._client.close()
            self._client = None

    def close(self) -> None:
        """Be gone, as netifyd is when it restarts."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self.path.unlink(missing_ok=True)
        self.drop()


class Daemon:
    """`nfa run`, as a process of the namespace."""

    def __init__(
        self, namespace: Namespace, folder: Path, source: str, config: object, *, options: Sequence[str] = (),
        wrapper: Sequence[str] = (), clock: Clock | None = None, constants: Mapping[str, float] | None = None,
        cold: bool = COLD,
    ) -> None:  # fmt: skip
        """`config`: as `configure` takes it, None for no file. `wrapper`: a command to start the daemon with fewer rights.
        `clock`: the clock that it sees, instead of the machine's. `constants`: others than it has (see `lab_program`).
        `cold`: start `nfa run`, and what the daemon starts, as a router does, and alter nothing in it (see `warm_python`)."""
        self.config = folder / "nfa.json"
        self.control = folder / "control.sock"
        self.errors = folder / "stderr"
        if config is not None:
            self.configure(config)
        # Without the bus and the UCI files of the machine that the tests run on, unless a test says otherwise.
        alone = [] if "-u" in options else ["--no-uci"]
        files = [] if "-u" in options and config is None else ["-c", str(self.config)]
        arguments = [*files, "--state-dir", str(folder), "--control", str(self.control)]
        arguments += ["-s", source] if source else []
        arguments += ["--ubus", "none", *alone, *options]
        first, last = clock.statement() if clock else "", with_constants(constants)
        program = [*(altered(first, last) if first or last else [sys.executable, "-m", "nfa"]), "run", *arguments]
        given = environment()
        told = None if cold or wrapper else becomes(warm(given), arguments, folder, given)
        if told:
            program, given = told
            program = with_statements(program, first, f"{last}sys.executable = {warm(given)!r}; ")
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [*namespace.prefix, *wrapper, *program],
                stderr=errors, stdout=errors, stdin=subprocess.DEVNULL, env=given, cwd=folder,
                preexec_fn=_die_with_us_and_hold if told else die_with_us,
            )  # fmt: skip
        self.pid = self.process.pid  # nsenter, setpriv and `nfa run` exec: it is the daemon's own

    def configure(self, config: object) -> None:
        """Write the configuration: an object, or text as it is."""
        text = config if isinstance(config, str) else json.dumps(config, indent=2)
        fresh = self.config.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.config)

    def status(self) -> dict[str, Any]:
        return self.ask("status")

    def ask(self, method: str, **arguments: object) -> dict[str, Any]:
        """Call a method over the control socket, as the commands do."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(self.control))
            connection.sendall(json.dumps({"method": method, "args": arguments}).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                chunk = connection.recv(1 << 16)
                assert chunk, "the daemon closed the control connection"
                answer += chunk
        assert "result" in json.loads(answer), answer
        result: dict[str, Any] = json.loads(answer)["result"]
        return result

    def until(self, condition: Callable[[dict[str, Any]], object], what: str = "", seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait until the status is as wanted, and return it."""

        def look() -> dict[str, Any] | None:
            assert self.process.poll() is None, f"the daemon ended:\n{self.log}"
            try:
                status = self.status()
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
                return None  # not there yet, or too busy for now to take a connection
            return status if condition(status) else None

        found = eventually(look, seconds, what)
        assert found is not None
        return found

    def loaded(self, generation: int = 1) -> dict[str, Any]:
        """Wait until the n-th policy is in force."""
        return self.until(lambda status: status["policy"]["generation"] >= generation, "a policy in force")

    @property
    def log(self) -> str:
        """What the administrator reads."""
        return self.errors.read_text("utf-8", "replace")

    def said(self, *words: str) -> list[str]:
        """The messages that hold all these words."""
        return [line for line in self.log.splitlines() if all(word in line for word in words)]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """kill -9, what was not ended by the test itself."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)


class Lab:
    """One test's namespace, netifyd and daemons."""

    def __init__(self, namespace: Namespace, folder: Path) -> None:
        self.namespace = namespace
        self.folder = folder
        self.netifyd = Netifyd(folder / "netifyd.sock")
        self.daemons: list[Daemon] = []
        self._sent = 0
        """Records sent to the daemon that runs now."""

    @property
    def daemon(self) -> Daemon:
        return self.daemons[-1]

    def launch(self, config: object, **more: Any) -> Daemon:
        """Start the daemon without a netifyd to talk to."""
        self.daemons.append(Daemon(self.namespace, self.folder, more.pop("source", self.netifyd.uri), config, **more))
        self._sent = 0
        return self.daemon

    def start(self, config: object, **more: Any) -> Daemon:
        """Start the daemon and netifyd, and have them connected: the policy is in force then."""
        self.netifyd.close()
        self.netifyd.open()
        daemon = self.launch(config, **more)
        try:
            self.netifyd.accept()
        except TimeoutError:
            raise AssertionError(f"the daemon did not connect:\n{daemon.log}") from None
        self.feed(hello())
        return daemon

    def nfa(self, *arguments: str) -> list[str]:
        """The command line of another nfa command."""
        return [warm(environment()), "-m", "nfa", *arguments]

    def send(self, *records: Record | bytes) -> None:
        """Send records, and wait for nothing. Bytes count as one record each."""
        self.netifyd.send(*records)
        self._sent += len(records)

    @contextmanager
    def beating(self, records: Callable[[int], Sequence[Record]]) -> Iterator[None]:
        """Keep flows alive, ten times a second, however long the test is busy. `records`: what the n-th beat sends."""
        over = threading.Event()

        def beat() -> None:
            for number in count():
                if over.wait(0.1):
                    return
                self.send(*records(number))

        thread = threading.Thread(target=beat)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def feed(self, *records: Record | bytes) -> dict[str, Any]:
        """Send records and return the status after their effects are in the kernel."""
        self.send(*records)
        return self.settled(self._sent)

    def settled(self, records: int) -> dict[str, Any]:
        """Wait until so many records are read and their effects are in the kernel. Returns the status then."""
        self.daemon.until(lambda status: status["source"]["records"] >= records, f"{records} records read")
        # The answer above may be of the same turn of the loop as the last record, and effects are its end.
        return self.daemon.status()

    def close(self) -> None:
        for daemon in self.daemons:
            daemon.kill()
        self.netifyd.close()


@contextmanager
def private_namespace() -> Iterator[Namespace]:
    namespace = Namespace()
    try:
        yield namespace
    finally:
        namespace.close()


def missing() -> str:
    """Why these tests cannot run here; "" when they can."""
    tools = [tool for tool in ("unshare", "nsenter", "nft", "ipset") if shutil.which(tool, path=PATH) is None]
    if tools:
        return f"needs {', '.join(tools)}"
    with private_namespace() as namespace:
        if not namespace.alive:
            return "no private network namespace: needs root, or user namespaces"
        for probe in (["nft", "add", "table", "inet", "probe"], ["ipset", "create", "probe", "hash:ip", "timeout", "9"]):
            done = namespace.attempt(*probe)
            if done.returncode:
                return f"{' '.join(probe)}: {done.stderr.strip()}"
    return ""


def policy(targets: dict[str, dict[str, object]], *criteria: str, **sections: object) -> dict[str, Any]:
    """A configuration in which matching flows (by default all) reach all targets."""
    action = {"criteria": list(criteria) or ["*"], "targets": list(targets)}
    return {"version": 1, "actions": {"all": action}, "targets": targets} | sections


def nftset(name: str, *fields: str, **options: Any) -> dict[str, object]:
    """A managed nftset target in table nfa; IPv4 and IPv6 as by default."""
    kind: dict[str, object] = {"type": list(fields)} if fields else {}
    return {"target_type": "nftset", "set_name": name, "managed": True, "ttl": 100} | kind | options


def ipset(name: str, kind: str = "hash:ip", **options: Any) -> dict[str, object]:
    """A managed ipset target."""
    return {"target_type": "ipset", "set_name": name, "type": kind, "managed": True, "ttl": 100} | options


def ip(text: str) -> str:
    """An address as the tools print it."""
    return str(ip_address(text))
