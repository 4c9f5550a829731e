"""nfa with the Python that a router has: only the files of the packages it depends on, as byte-code.

`packaging/router.py` builds it, of this machine's library; which file is in which package is OpenWrt's (python3-packages.json).
"""

from __future__ import annotations

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import compiler
import mixes
import pytest
import router
import samples
import sizes
from module_trees import NFA, imported
from policies import config_of
from test_makefile import MAKEFILES, shown
from waiting import PATIENCE, eventually, patience

from nfa.cli import COMMANDS
from nfa.daemon.bus.control import call

OPTIONAL = {"ssl", "orjson", "uuid", "uci", "pyroute2"}
"""In packages of their own; used where they are, with what they need."""
OTHER_PYTHON = {"nfa.daemon.base.portable_micropython", "nfa.daemon.base.micropython_text", "nfa.daemon.micropython"}
"""What only MicroPython loads."""
NEEDS_PYROUTE2 = "nfa.routes.kernel"
"""What works with the package nfa-route."""
PEAK = 26_000_000
"""Bytes: the most that the compiler may take for a policy of 100 actions."""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a router."""
    return compiler.python_of_router(tmp_path_factory.mktemp("router"))


def run(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it in a folder, with nothing of the developer's environment."""
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        [python, *arguments], capture_output=True, text=True, check=False, timeout=patience(60), cwd=folder, env=environment
    )


# -- what is in it -------------------------------------------------------------------------------------------------------


def test_the_package_depends_on_what_is_in_it() -> None:
    """On a router there would be less than here, or more than anybody needs."""
    fields, _ = shown("nfa", MAKEFILES["nfa"])
    assert [name for name in fields["Depends"].split(", ") if name.startswith("python3-")] == sizes.PACKAGES
    for release in router.releases().values():
        assert {name for taken in release["depends"].values() for name in taken} <= {"python3-light", *release["packages"]}


@pytest.mark.parametrize(
    "module", ["asyncio", "ctypes", "decimal", "logging", "multiprocessing", "pip", "sqlite3", "uuid", "xml"]
)
def test_it_lacks_what_other_packages_have(python: Path, tmp_path: Path, module: str) -> None:
    """A router with too much in it would prove nothing."""
    done = run(python, tmp_path, "-c", f"import {module}")
    assert f"No module named '{module}'" in done.stderr


def test_it_has_what_its_packages_have(python: Path, tmp_path: Path) -> None:
    """One with too little would refuse what works."""
    names = "argparse dataclasses email.message gzip ipaddress json pathlib socket typing urllib.request zoneinfo"
    done = run(python, tmp_path, "-c", f"import importlib\nfor name in '{names}'.split(): importlib.import_module(name)")
    assert done.returncode == 0, done.stderr
    where = run(python, tmp_path, "-c", "import sys, json, nfa; print(sys.prefix, json.__file__, nfa.__file__)")
    assert where.stdout.count(str(python.parents[1])) == 3, where


# -- nfa in it -----------------------------------------------------------------------------------------------------------


def test_every_module_can_be_imported(python: Path, tmp_path: Path) -> None:
    """On a router the command that imports it would end in a traceback; developers have the whole library."""
    modules = [".".join(file.relative_to(NFA.parent).with_suffix("").parts) for file in sorted(NFA.rglob("*.py"))]
    modules = [name.removesuffix(".__init__") for name in modules if not name.endswith("__main__")]
    wanted = [name for name in modules if not name.startswith((*OTHER_PYTHON, NEEDS_PYROUTE2))]
    assert len(wanted) > 100
    done = run(python, tmp_path, "-c", f"import importlib\nfor name in {wanted}: importlib.import_module(name)")
    assert done.returncode == 0, done.stderr


def test_what_is_imported_late_is_there_too(python: Path, tmp_path: Path) -> None:
    """Functions import what few users need: these would meet the traceback."""
    files = [file for file in NFA.rglob("*.py") if "micropython" not in str(file)]
    names = {name for file in files for name in imported(file) if not name.startswith("nfa")}
    wanted = sorted(name for name in names if name.partition(".")[0] not in OPTIONAL)
    assert {"tempfile", "difflib", "zoneinfo", "json"} <= set(wanted)
    done = run(python, tmp_path, "-c", f"import importlib\nfor name in {wanted}: importlib.import_module(name)")
    assert done.returncode == 0, done.stderr


RUNS = {
    "check": (["--no-uci", "-c", "POLICY"], 0),
    "check --show": (["--no-uci", "-c", "POLICY", "--show"], 0),
    "compile": (["--no-uci", "-c", "POLICY", "-o", "OUTPUT"], 0),
    "explain": (["--no-uci", "-c", "POLICY", "RECORDING"], 0),
    "eval": (["port == 443;", "RECORDING"], 0),
    "apps": (["youtube"], 0),
    "protocols": (["http"], 0),
    "categories": ([], 0),
    "import": (["POLICY"], 0),
    "status": (["--control", "NOWHERE"], 1),
    "matches": (["--control", "NOWHERE"], 1),
    "elements": (["--control", "NOWHERE"], 1),
    "usage": (["--control", "NOWHERE", "--csv"], 1),
    "budget": (["--control", "NOWHERE", "x", "--add", "30m"], 1),
    "flush": (["--control", "NOWHERE", "l"], 1),
    "adopt": (["--control", "NOWHERE"], 1),
    "devices": (["--control", "NOWHERE"], 1),
    "notice": (["phone", "--test", "--control", "NOWHERE"], 1),
    "route": (["show", "--no-uci", "-c", "POLICY"], 0),
    "pause": (["--control", "NOWHERE", "l", "30m"], 1),
    "resume": (["--control", "NOWHERE", "l"], 1),
    "reload": (["--control", "NOWHERE"], 1),
    "replay": (["RECORDING", "--listen", "tcp://localhost:0", "--wait", "0"], 0),
}


def test_every_command_is_tried() -> None:
    """`run` is, with all sinks, below."""
    assert {name.split()[0] for name in RUNS} | {"run"} == set(COMMANDS)


@pytest.mark.parametrize("command", RUNS)
def test_every_command_works(python: Path, tmp_path: Path, command: str) -> None:
    """What the interpreter itself imports late is missing as well: a name server needs the codec idna."""
    arguments, code = RUNS[command]
    policy, recording = tmp_path / "POLICY", tmp_path / "RECORDING"
    hours = {"day": ["mon"], "time_start": "8:00", "time_end": "17:00"}
    action = {"criteria": "app == 'zom';", "exemptions": ["10.0.0.0/8"], "time_of_day": hours}
    policy.write_text(json.dumps(config_of({"a": action}) | {"timezone": "CET-1"}))
    recording.write_bytes(samples.payload(samples.flow("HTTP/S", "netify.youtube")) + b"\n")
    places = {name: str(tmp_path / name) for name in ("POLICY", "RECORDING", "OUTPUT", "NOWHERE")}
    given = [places.get(argument, argument) for argument in arguments]
    done = run(python, tmp_path, "-m", "nfa", *command.split()[:1], *given)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


class Web(http.server.BaseHTTPRequestHandler):
    """Keeps what is posted."""

    bodies: list[bytes] = []

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[int]:
    """The port of a web server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def broker(listener: socket.socket, got: list[bytes]) -> None:
    """Take one client of MQTT in, and keep what it says."""
    client, _ = listener.accept()
    with client:
        assert client.recv(4096)[:1] == b"\x10", "CONNECT"
        client.sendall(b"\x20\x02\x00\x00")
        while chunk := client.recv(4096):
            got.append(chunk)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as made:
        port: int = made.getsockname()[1]
        return port


def test_the_daemon_and_every_sink_work(python: Path, tmp_path: Path, web: int) -> None:
    """Each sink is a module that is loaded when a policy has one: what it lacks shows only then, in the log of a router."""
    udp, tcp, mqtt = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), free_port(), socket.create_server(("127.0.0.1", 0))
    udp.bind(("127.0.0.1", 0))
    published: list[bytes] = []
    threading.Thread(target=broker, args=(mqtt, published), daemon=True).start()
    places = {"u": f"unix://{tmp_path}/u.sock", "t": f"tcp://127.0.0.1:{tcp}", "d": f"udp://127.0.0.1:{udp.getsockname()[1]}"}
    files = {
        "socket": {"channels": {name: {"bind_address": place} for name, place in places.items()}},
        "http": {"channels": {"h": {"url": f"http://localhost:{web}/", "headers": {}}}},
        "mqtt": {"host": "127.0.0.1", "port": mqtt.getsockname()[1], "topic": "x", "channels": {"m": {}}},
        "log": {"channels": {"l": {"log_path": str(tmp_path / "logs"), "interval": 1}}},
        "ubus": {"channels": {"b": {"path": "x"}}},
    }
    for kind, body in files.items():
        (tmp_path / f"netify-sink-{kind}.json").write_text(json.dumps(body))
    channels = [("socket", "u"), ("socket", "t"), ("socket", "d"), ("http", "h"), ("mqtt", "m"), ("log", "l"), ("ubus", "b")]
    targets: dict[str, Any] = {
        channel: {"target_type": "sink", "sink": f"sink-{kind}", "channel": channel, "flow_events": "new"}
        for kind, channel in channels
    }
    targets["sets"] = {"target_type": "log", "path": str(tmp_path / "log")}
    policy = tmp_path / "policy.json"
    actions = {"a": {"criteria": "app == 'youtube';", "targets": list(targets)}}
    policy.write_text(json.dumps({"version": 1, "actions": actions, "targets": targets}))
    source, control = tmp_path / "netifyd.sock", tmp_path / "control.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(source))
    listener.listen()
    arguments = ["run", "--no-uci", "-c", str(policy), "-s", f"unix://{source}", "--control", str(control), "--ubus", "none"]
    log = tmp_path / "daemon.log"
    with log.open("wb") as output:
        daemon = subprocess.Popen(
            [python, "-m", "nfa", *arguments, "--state-dir", str(tmp_path)], stdin=subprocess.DEVNULL,
            stdout=output, stderr=output, cwd=tmp_path, env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
    try:
        eventually(lambda: daemon.poll() is not None or b"policy loaded" in log.read_bytes(), what="the policy in force")
        assert daemon.poll() is None, log.read_text()
        readers = [socket.socket(socket.AF_UNIX), socket.socket()]
        readers[0].connect(str(tmp_path / "u.sock"))
        readers[1].connect(("127.0.0.1", tcp))
        listener.settimeout(PATIENCE)
        stream, _ = listener.accept()
        flow = samples.flow("HTTP/S", "netify.youtube")
        stream.sendall(b"".join(map(samples.frame, (samples.hello(), samples.definitions(), flow))))
        for reader in (*readers, udp):
            reader.settimeout(PATIENCE)
            assert b"flow_action" in reader.recv(1 << 16), log.read_text()
        eventually(lambda: any(b"flow_action" in body for body in Web.bodies), what="a request")
        eventually(lambda: b"flow_action" in b"".join(published), what="a message of MQTT")
        eventually(lambda: list((tmp_path / "logs").glob("*")) or None, what="a file of the log sink")
        status = call(str(control), "status", {})
        assert len(status["targets"]) == len(targets)
    finally:
        daemon.terminate()
        daemon.wait(PATIENCE)
    said = log.read_text()
    assert "Traceback" not in said and "No module named" not in said and "a fault in nfa" not in said, said


# -- what it takes -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_compiler_takes_little_memory(python: Path, tmp_path: Path) -> None:
    """It runs beside the daemon: on a router of 128 MB a reload could end in the kernel's choice of what to kill."""
    assert compiler.peak(python, tmp_path, mixes.write(tmp_path, 100)) <= PEAK


def test_all_that_is_needed_fits_into_little_flash(tmp_path: Path) -> None:
    """Routers have 16 MB of flash, and an agent needs its part of it. The document says how much it is."""
    found = sizes.measure(tmp_path)
    total = sum(packed for _, packed in found.values())
    assert total <= sizes.BOUND
    text = (NFA.parent / "docs/openwrt.md").read_text(encoding="utf-8")
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the document tells of Python 3.11")
    wanted = {name: packed for name, (_, packed) in found.items()} | {"all": total}
    for name, packed in wanted.items():
        line = next((line for line in text.splitlines() if line.startswith(f"| {name} |")), "")
        assert line, f"make sizes tells of {name}, the document does not"
        told = float(line.split("|")[2].split()[0])
        # Extensions may be in libpython, or beside it: that is the machine's choice.
        most = 1 if name in ("python3-light", "libpython3", "libbz2, zlib", "all") else max(0.05, told * 0.1)
        assert abs(told - packed / 1e6) <= most, f"{line} is {packed / 1e6:.2f} MB now: make sizes"
