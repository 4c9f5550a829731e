"""OpenWrt's own programs for tests: ubusd, rpcd, uhttpd and the `ubus` command, each in a folder of the test.

In: a folder. Out: running programs that can be killed, paused and started again, and the answers that come through them.
The programs are found in $PATH and in $NFA_PEERS/{bin,sbin}. No file outside the test's folder is changed (but that ubusd
makes an empty /var/run/ubus), and no privilege is needed where an ordinary user may make user namespaces: they are root of
one.

    with Ubusd(folder) as ubusd, Rpcd(folder, ubusd.socket), Uhttpd(folder, ubusd.socket) as web:
        web.login()
        code, data = web.jsonrpc("nfa", "status", {})

`Caller` is a client of ubus of its own: quick enough to measure with, and it shows what the `ubus` command hides.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from waiting import PATIENCE, eventually

from nfa.daemon.bus import blob

T = TypeVar("T")
P = TypeVar("P", bound="Program")
PEERS = os.environ.get("NFA_PEERS", "")
_FOLDERS = [f"{PEERS}/bin", f"{PEERS}/sbin"] if PEERS else []
PATH = os.pathsep.join([*_FOLDERS, os.environ.get("PATH", "/usr/bin:/bin"), "/usr/sbin", "/sbin"])

USER, PASSWORD = "root", "a password"
"""Who may log in where `Rpcd` runs."""
_PASSWORD_HASH = "$5$nfatests$obJPjAX2ROPkpgMB.aN/DOEsXBh.YQVUNpU6UkPlNmA"
NO_SESSION = "0" * 32
"""The session of everybody who has not logged in."""
RIGHTS = {
    "unauthenticated": {"read": {"ubus": {"session": ["access", "login"]}}},
    "everything": {"write": {"ubus": {"*": ["*"]}}},
}
"""Rights for `Rpcd`, as a file in /usr/share/rpcd/acl.d has them: everything for who has logged in."""

_AS_ROOT = [] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user"]
"""ubusd lets only root publish; in a user namespace, the user who runs the tests is root for it."""


def missing(*programs: str) -> str:
    """Why tests with these programs cannot run here; "" when they can."""
    absent = [name for name in programs if shutil.which(name, path=PATH) is None]
    if absent:
        return f"needs {', '.join(absent)} in $PATH or $NFA_PEERS/{{bin,sbin}}"
    own_folders = ["unshare", "--mount"] if "rpcd" in programs else []
    probe = subprocess.run([*_AS_ROOT, *own_folders, "true"], capture_output=True, text=True, check=False)
    return f"needs root, or user namespaces: {probe.stderr.strip()}" if probe.returncode else ""


def environment() -> dict[str, str]:
    """The environment in which the programs and their libraries are found."""
    libraries = [f"{PEERS}/lib"] if PEERS else []
    inherited = os.environ.get("LD_LIBRARY_PATH")
    return {**os.environ, "PATH": PATH, "LD_LIBRARY_PATH": os.pathsep.join(libraries + ([inherited] if inherited else []))}


class Program:
    """A program that runs as long as the test. Used as a context manager it starts, and is killed at the end."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.errors = folder / f"{name}.stderr"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def works(self) -> bool:
        """Whether it does its job."""
        raise NotImplementedError

    def spawn(self) -> None:
        """Start it, without waiting."""
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [*_AS_ROOT, *self.command()], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=environment()
            )

    def start(self) -> None:
        """Start it, and wait until it does its job."""
        self.spawn()
        eventually(self._works_or_ended, what=f"{self.name} at work")

    def _works_or_ended(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} ended:\n{self.errors.read_text('utf-8', 'replace')}"
        return self.works()

    def pause(self) -> None:
        """Let it hang (SIGSTOP): its sockets stay open, nobody reads them."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE)
            self.process = None

    def __enter__(self: P) -> P:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()


class Ubusd(Program):
    """The bus. `socket` is its path; after `kill`, `start` brings it back at the same path."""

    def __init__(self, folder: Path) -> None:
        super().__init__("ubusd", folder)
        self.socket = str(folder / "ubus.sock")

    def command(self) -> Sequence[str]:
        return ["ubusd", "-s", self.socket, "-A", str(self.folder)]

    def works(self) -> bool:
        """Whether it greets."""
        try:
            Caller(self.socket).close()
        except OSError:
            return False
        return True

    def run(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the `ubus` command."""
        command = ["ubus", "-s", self.socket, *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())

    def ubus(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the `ubus` command to its end, for objects that another process serves. Its exit code is -status."""
        command = self.run(*arguments)
        out, err = command.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(command.args, command.returncode, out, err)

    def has(self, name: str) -> bool:
        """Whether an object is on the bus."""
        with Caller(self.socket) as caller:
            return caller.find(name) is not None


class Rpcd(Program):
    """Sessions and rights for uhttpd: `session login` for USER with PASSWORD, checked against `rights`.

    Its paths are compiled in (/etc/config, PREFIX/share/rpcd/acl.d, /var/run/rpcd): it gets a mount namespace where those
    folders are its own. `config` is its /etc/config, where a test may put more files (the object `uci` shows them).
    """

    def __init__(self, folder: Path, bus: str, rights: dict[str, object] | None = None) -> None:
        """`bus`: the socket of ubusd. `rights`: file name to content for acl.d; by default everything is allowed."""
        super().__init__("rpcd", folder)
        self.bus = bus
        self.config = folder / "etc" / "config"
        self.config.mkdir(parents=True, exist_ok=True)
        login = {"username": USER, "password": _PASSWORD_HASH}
        options = [f"\toption {name} '{value}'\n" for name, value in login.items()]
        (self.config / "rpcd").write_text("config login\n" + "".join(options) + "\tlist read '*'\n\tlist write '*'\n")
        for name in ("passwd", "group"):
            shutil.copy(f"/etc/{name}", folder / "etc" / name)
        rules = folder / "share" / "rpcd" / "acl.d"
        rules.mkdir(parents=True, exist_ok=True)
        for name, content in (rights or {"tests.json": RIGHTS}).items():
            (rules / name).write_text(json.dumps(content))

    def command(self) -> Sequence[str]:
        program = shutil.which("rpcd", path=PATH)
        assert program
        found = re.search(rb"(/[ -~]*/share)/rpcd/acl\.d/", Path(program).read_bytes())
        assert found, f"{program} does not tell where it looks for rights"
        # Its own /etc, PREFIX/share and /var/run; then rpcd in place of the shell.
        script = 'mount --bind "$1" /etc && mount --bind "$2" "$3" && mount -t tmpfs tmpfs /var/run && shift 3 && exec "$@"'
        folders = [str(self.folder / "etc"), str(self.folder / "share"), found[1].decode()]
        return ["unshare", "--mount", "sh", "-c", script, "sh", *folders, program, "-s", self.bus]

    def works(self) -> bool:
        with Caller(self.bus) as caller:
            return caller.find("session") is not None


class Uhttpd(Program):
    """The web server with its JSON-RPC, as LuCI uses it; on a free port of 127.0.0.1."""

    def __init__(self, folder: Path, bus: str, authenticate: bool = True) -> None:
        """`bus`: the socket of ubusd. Without `authenticate` everybody may call everything, and no `Rpcd` is needed."""
        super().__init__("uhttpd", folder)
        self.bus = bus
        self.authenticate = authenticate
        self.session = NO_SESSION
        self.port = 0

    def command(self) -> Sequence[str]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        rest = [] if self.authenticate else ["-a"]
        return ["uhttpd", "-f", "-p", f"127.0.0.1:{self.port}", "-h", str(self.folder), "-u", "/ubus", "-U", self.bus, *rest]

    def works(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def login(self, user: str = USER, password: str = PASSWORD) -> None:
        """Open a session, as the login page does. Needs `Rpcd` on the same bus."""
        code, data = self.jsonrpc("session", "login", {"username": user, "password": password})
        assert code == 0 and data is not None, f"login failed: {code} {data}"
        self.session = str(data["ubus_rpc_session"])

    def jsonrpc(self, target: str, method: str, arguments: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        """Call a method of an object: (code, data).

        The code is the status of ubus (0 is success), with what was answered, or None for no data. It is negative when uhttpd
        itself refuses, data None: -32000 no such object, -32002 no right in this session, -32003 no answer in time.
        """
        call = {"jsonrpc": "2.0", "id": 1, "method": "call", "params": [self.session, target, method, arguments]}
        answer = self.post("/ubus", json.dumps(call).encode())
        if "error" in answer:
            return answer["error"]["code"], None
        code, *data = answer["result"]
        return code, data[0] if data else None

    def post(self, path: str, body: bytes) -> dict[str, Any]:
        """Post JSON; return the JSON that is answered."""
        head = f"POST {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            connection.sendall(head.encode() + body)
            answer = b""
            while chunk := connection.recv(1 << 16):
                answer += chunk
        _, _, content = answer.partition(b"\r\n\r\n")
        try:
            found: dict[str, Any] = json.loads(content)
        except ValueError:
            raise AssertionError(f"uhttpd answered no JSON: {answer[:2000]!r}") from None
        return found


class Caller:
    """A blocking client of ubus: looks objects up, and calls their methods over one connection. Raises OSError."""

    def __init__(self, path: str, timeout: float = PATIENCE) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.settimeout(timeout)
        self._buffer = bytearray()
        self._sequence = 0
        try:
            self._connection.connect(path)
            kind = self._receive()[0]
        except BaseException:
            self._connection.close()
            raise
        assert kind == blob.HELLO

    def find(self, name: str) -> int | None:
        """Return the id of an object, None when there is none."""
        status, answers = self._request(_LOOKUP, 0, blob.attribute(blob.ATTR_OBJPATH, blob.string(name)))
        return blob.read_number(answers[0][blob.ATTR_OBJID]) if status == 0 and answers else None

    def call(self, name: str, method: str, arguments: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        """Call a method: (status, data). Data is None when none was answered; status 4 also when there is no such object."""
        target = self.find(name)
        return (4, None) if target is None else self.invoke(target, method, arguments)

    def invoke(self, target: int, method: str, arguments: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        """Call a method of the object with this id, as `call` does."""
        call = [(blob.ATTR_OBJID, blob.number(target)), (blob.ATTR_METHOD, blob.string(method))]
        call.append((blob.ATTR_DATA, blob.encode(arguments)))
        status, answers = self._request(blob.INVOKE, target, b"".join(blob.attribute(*item) for item in call))
        return status, blob.decode(answers[0][blob.ATTR_DATA], blob.MAX_BODY) if answers else None

    def _request(self, kind: int, peer: int, attributes: bytes) -> tuple[int, list[dict[int, bytes]]]:
        self._sequence = self._sequence + 1 & 0xFFFF
        self._connection.sendall(blob.message(kind, self._sequence, peer, attributes))
        answers = []
        while True:
            kind, sequence, _, body = self._receive()
            if sequence == self._sequence and kind == blob.DATA:
                answers.append(blob.attributes(body))
            elif sequence == self._sequence and kind == blob.STATUS:
                return blob.read_number(blob.attributes(body)[blob.ATTR_STATUS]), answers

    def _receive(self) -> tuple[int, int, int, bytes]:
        while (message := blob.take(self._buffer)) is None:
            chunk = self._connection.recv(1 << 16)
            if not chunk:
                raise ConnectionResetError("ubusd closed the connection")
            self._buffer += chunk
        return message

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


_LOOKUP = 4
"""A kind of message that the product has no use for."""
