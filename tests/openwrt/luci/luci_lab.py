"""A router with LuCI for browser tests: real ubusd, procd, rpcd and uhttpd, our application and daemon, and a Chromium.

In: LUCI_ROOT, a folder with OpenWrt's programs and LuCI built for this machine (docs/testing.md), the configuration and
the names of devices. Out: `Router`, which runs in namespaces of its own and ends with the test, and `Person`, who sits at a
browser that only reaches that router. netifyd is `kernel_lab.Netifyd`: the test sends what it wants.

    with Router(folder, configs={CONFIG: text}) as router, sync_playwright() as playwright:
        person = Person(playwright, router)
        person.log_in()
        person.open("matches")
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kernel_lab import Netifyd
from waiting import PATIENCE, eventually

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
APP = ROOT / "feeds" / "luci-app-nfa"
CONFIG = "netify-proc-flow-actions"
PAGES = ("home", "overview", "policies", "targets", "sets", "matches", "recipes", "log")
SCREENSHOTS = os.environ.get("NFA_SCREENSHOTS", "")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
CHROMIUM_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
READY = "#view:not(:has(> .spinning))"
"""What a page of LuCI has when its view is there."""

TABLET, TABLET_MAC = "192.168.1.20", "02:00:5e:10:01:14"
"""The device of these tests: what tests/netifyd_records.py gives to 192.168.1.20."""
HOSTS = {
    TABLET_MAC.upper(): {"name": "tablet", "ipaddrs": [TABLET], "ip6addrs": []},
    "02:00:5E:10:01:15": {"name": "laptop", "ipaddrs": ["192.168.1.21"], "ip6addrs": ["2001:db8:1::15"]},
}

_HOME = """\
sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.dad_transmits=0
ip link add lan0 type veth peer name eth0 netns $HOME_PID
ip addr add 192.168.1.1/24 dev lan0
ip link set lan0 up
ip link add wan0 type veth peer name wan1
ip link set wan1 up
ip addr add 198.18.0.1/15 dev wan0
ip link set wan0 arp off up
ip route add 203.0.113.0/24 dev wan0
sysctl -qw net.ipv4.ip_forward=1
"""
"""Without the search for duplicates, whose end Chromium takes for another network: it drops what it is loading then."""
_CONNECT = """\
import socket, sys
local, port, other, other_port = sys.argv[1:]
with socket.socket() as link:
    link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    link.bind((local, int(port)))
    link.settimeout(0.3)
    try:
        link.connect((other, int(other_port)))
    except ConnectionRefusedError:
        print("refused")
    except TimeoutError:
        print("lost")
"""
"""A device of the house tries to connect. Nobody lives beyond the WAN: what passes the router is lost."""

_AS_ROOT = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
_OWN_TEMPORARY = ("/tmp", "/run", "/dev")
"""Folders that are empty in the router: what is needed of them has to be named."""


def missing() -> str:
    """Why these tests cannot run here; "" when they can."""
    luci_root = os.environ.get("LUCI_ROOT", "")
    if not luci_root:
        return "LUCI_ROOT is not set"
    if not (Path(luci_root) / "www" / "luci-static").is_dir():
        return f"no LuCI in LUCI_ROOT, {luci_root}"
    if not os.access(CHROMIUM, os.X_OK):
        return f"no {CHROMIUM}: name Chromium by CHROMIUM"
    absent = [tool for tool in ("unshare", "nsenter", "nft", "ip") if shutil.which(tool, path=_path()) is None]
    if absent:
        return f"needs {', '.join(absent)}"
    probe = ["unshare", *_AS_ROOT, "--mount", "--net", "--pid", "--fork", "true"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return f"needs root, or user namespaces: {done.stderr.strip()}" if done.returncode else ""


def _path() -> str:
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"


class Router:
    """OpenWrt's programs with LuCI, this checkout's application and init script, and its daemon where that is enabled."""

    url = "http://127.0.0.1"

    def __init__(
        self, folder: Path, configs: Mapping[str, str], *, hosts: Mapping[str, object] = HOSTS,
        files: Mapping[str, str] | None = None, app: Path = APP,
    ) -> None:  # fmt: skip
        """`configs`: files of /etc/config. `hosts`: what luci-rpc tells of the devices in the house, by MAC.

        `files`: more files, below `folder`/router, which the router sees under the same path.
        """
        self.folder = folder / "router"
        self.configs = self.folder / "config"
        self.configs.mkdir(parents=True)
        for name, text in {**{f"config/{name}": text for name, text in configs.items()}, **(files or {})}.items():
            (self.folder / name).write_text(text)
        hints = {"luci-rpc": {"getHostHints": {"reply": hosts}}}
        (self.folder / "extra.json").write_text(json.dumps(hints))
        self.netifyd = Netifyd(folder / "netifyd.sock")
        self._own = _own_tree(folder)
        self._app = app
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._home: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Router:
        self.netifyd.open()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _start(self) -> None:
        folders = {str(ROOT), sys.prefix, str(self._own.parent)}
        binds = sorted(path for path in folders if path.startswith(tuple(f"{place}/" for place in _OWN_TEMPORARY)))
        own = {
            "LUCI_ROOT": os.environ["LUCI_ROOT"], "HERE": str(HERE), "STATE": str(self.folder), "SERVICES": "nfa",
            "APPS": f"{self._app}\n{self._own}", "BINDS": "\n".join(binds), "PATH": _path(),
        }  # fmt: skip
        kinds = ["--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private"]
        with (self.folder / "stderr").open("wb") as errors:
            self._process = subprocess.Popen(
                ["unshare", *_AS_ROOT, *kinds, "sh", str(HERE / "inside.sh")],
                env={**os.environ, **own}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        assert ready == b"READY\n", f"the router did not start:\n{self.log('stderr')}"
        # `unshare` itself is outside of the process namespace; its only child is PID 1 in there.
        outer = self._process.pid
        self._pid = int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])

    def close(self) -> None:
        """End all of it: its PID 1 waits for the end of its input."""
        if self._home is not None:
            self._home.communicate()
            self._home = None
        if self._process is not None:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.close()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(PATIENCE)
            self._process.stdout.close()
            self._process = None
        self.netifyd.close()

    @property
    def browser(self) -> Path:
        """A program that is Chromium on the router's network, for Playwright to start."""
        script = self.folder / "chromium"
        script.write_text(f'#!/bin/sh\nexec {" ".join(self._inside())} {CHROMIUM} "$@"\n')
        script.chmod(0o755)
        return script

    def run(self, *command: str) -> str:
        """Run a command on the router that has to work; return what it printed."""
        user = ["-U", "--preserve-credentials"] if _AS_ROOT else []
        enter = ["nsenter", "-t", str(self._pid), *user, "-m", "-n", "-p", "-u", "-i", "--"]
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
        done = subprocess.run([*enter, *clean, *command], capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert done.returncode == 0, f"{command}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def ubus(self, target: str, method: str, **arguments: object) -> dict[str, Any]:
        """Call a method on the router's bus."""
        answer: dict[str, Any] = json.loads(self.run("ubus", "call", target, method, json.dumps(arguments)) or "{}")
        return answer

    def service(self, action: str) -> None:
        """What an administrator does on the command line: `service nfa stop`."""
        self.run("/etc/init.d/nfa", action)

    def connected(self) -> None:
        """Wait until the daemon has its policy in force and reads from netifyd."""
        try:
            self.netifyd.accept()
        except TimeoutError:
            raise AssertionError(f"the daemon did not connect:\n{self.run('logread')}\n{self.log('service-nfa')}") from None
        eventually(lambda: self.run("ubus", "list").split().count("nfa"), what="nfa on the bus")

    def feed(self, *records: dict[str, Any] | bytes) -> dict[str, Any]:
        """Send records and return the daemon's status after they were read."""
        before = self.ubus("nfa", "status")["source"]["records"]
        self.netifyd.send(*records)

        def read() -> dict[str, Any] | None:
            status = self.ubus("nfa", "status")
            return status if status["source"]["records"] >= before + len(records) else None

        found: dict[str, Any] | None = eventually(read, what="records read")
        assert found is not None
        return found

    def home(self, *addresses: str) -> None:
        """Build a network behind the router, whose devices have these addresses, and a WAN where 203.0.113.0/24 is."""
        command = [*self._inside(), "unshare", "--net", "sh", "-c", "echo; exec cat"]
        self._home = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._home.stdout is not None
        self._home.stdout.readline()
        self._network(_HOME.replace("$HOME_PID", str(self._home.pid)))
        own = [f"ip addr add {address}/24 dev eth0" for address in addresses]
        script = ["ip link set lo up", "ip link set eth0 up", *own, "ip route add default via 192.168.1.1"]
        self._network("\n".join(script), self._home.pid)

    def _inside(self, pid: int = 0) -> list[str]:
        """What runs a program of this machine on the router's network, or that of a process in it."""
        user = [f"--user=/proc/{self._pid}/ns/user", "--preserve-credentials"] if _AS_ROOT else []
        return ["nsenter", *user, f"--net=/proc/{pid or self._pid}/ns/net", "--"]

    def _network(self, script: str, pid: int = 0) -> str:
        command = [*self._inside(pid), "sh", "-ec", script]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": _path()})
        assert done.returncode == 0, f"{script}: {done.stderr}"
        return done.stdout

    def connect(self, record: dict[str, Any]) -> str:
        """Send the first packets of the connection that a flow record is about, from the house: `refused` or `lost`."""
        flow = record["flow"]
        ends = [str(flow[name]) for name in ("local_ip", "local_port", "other_ip", "other_port")]
        assert self._home is not None
        command = [*self._inside(self._home.pid), sys.executable, "-c", _CONNECT, *ends]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def config(self, name: str = CONFIG) -> str:
        """A file of /etc/config, as it is on disk."""
        return (self.configs / name).read_text()

    def log(self, name: str) -> str:
        """What a program said."""
        path = self.folder / "log" / name
        return (path if path.exists() else self.folder / name).read_text(errors="replace")


def _own_tree(folder: Path) -> Path:
    """Make the files of the package nfa that a router needs: the init script, and the command, of this checkout."""
    tree = folder / "nfa" / "root"
    (tree / "etc" / "init.d").mkdir(parents=True)
    shutil.copy2(ROOT / "files" / "etc" / "init.d" / "nfa", tree / "etc" / "init.d")
    (tree / "usr" / "bin").mkdir(parents=True)
    command = tree / "usr" / "bin" / "nfa"
    command.write_text(
        f'#!/bin/sh\nexport PYTHONDONTWRITEBYTECODE=1 NFA_JSON=standard\nPYTHONPATH={ROOT} exec {sys.executable} -m nfa "$@"\n'
    )
    command.chmod(0o755)
    return tree.parent


class Person:
    """Somebody at a browser. What the browser complains of is kept in `complaints`: a test ends with `content`."""

    def __init__(self, playwright: Any, router: Router, *, size: tuple[int, int] = (1280, 900)) -> None:
        """`size`: of the window; one that is narrow is that of a phone."""
        self.router = router
        self.browser = playwright.chromium.launch(executable_path=str(router.browser), args=list(CHROMIUM_FLAGS))
        window = {"width": size[0], "height": size[1]}
        self.page = self.browser.new_page(viewport=window, has_touch=size[0] < 600, reduced_motion="reduce")
        self.page.set_default_timeout(PATIENCE * 1000)
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("console", self._heard)
        self.page.on("response", lambda answer: self._answered(answer.status, answer.url))
        self.page.on("dialog", lambda dialog: self._asked(dialog))

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"console: {message.text}")

    def _answered(self, status: int, url: str) -> None:
        if status >= 400:
            self.complaints.append(f"{status}: {url}")

    def _asked(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def close(self) -> None:
        self.browser.close()

    def log_in(self, user: str = "root", password: str = "secret") -> None:
        """By LuCI's own form."""
        self.page.goto(f"{self.router.url}/cgi-bin/luci/")
        self.page.locator("#luci_username").fill(user)
        self.page.locator("#luci_password").fill(password)
        self.page.locator("#luci_password").press("Enter")
        self.page.wait_for_selector("#topmenu li", state="attached")
        self.complaints.clear()  # the page with the form is a 403

    def open(self, name: str) -> float:
        """Open a page of ours, or another one by its path; returns the seconds until its view was there."""
        path = f"admin/services/nfa/{name}" if name.partition("#")[0] in PAGES else name
        started = time.monotonic()
        self.page.goto(f"{self.router.url}/cgi-bin/luci/{path}", wait_until="commit")
        self.page.wait_for_selector(READY, state="attached")
        return time.monotonic() - started

    def type_into(self, field: Any, text: str) -> None:
        """Type, key by key: LuCI checks what is typed when a key goes up."""
        field.fill("")
        field.press_sequentially(text)
        field.blur()

    def save_and_apply(self) -> None:
        """Press the button, and wait until LuCI has made the change final and loads the page again."""
        with self.page.expect_navigation(timeout=PATIENCE * 1000):
            self.page.locator(".cbi-page-actions .cbi-button-apply").first.click()
        self.page.wait_for_selector(READY, state="attached")

    def sees(self, text: str | re.Pattern[str], seconds: float = PATIENCE) -> Any:
        """Wait until the page shows a text; return where."""
        place = self.page.get_by_text(text).locator("visible=true").first
        place.wait_for(timeout=seconds * 1000)
        return place

    def row(self, text: str, seconds: float = PATIENCE) -> Any:
        """Wait until a table has a row with a text; return the row."""
        row = self.page.get_by_role("row").filter(has_text=text).first
        row.wait_for(timeout=seconds * 1000)
        return row

    def changes(self) -> list[list[str]]:
        """The changes of our configuration that wait for Save & Apply, as rpcd tells them: command, section, option, value."""
        found: dict[str, list[list[str]]] = self.page.evaluate("() => L.require('uci').then(uci => uci.changes())")
        return found.get(CONFIG, [])

    def shoot(self, name: str) -> None:
        """Take a picture of what the window shows into the folder NFA_SCREENSHOTS, where that is set."""
        if SCREENSHOTS:
            self.page.wait_for_timeout(500)  # dialogs of LuCI come and go slowly
            Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=str(Path(SCREENSHOTS) / f"{name}.png"))

    def content(self, but: Iterable[str] = ()) -> None:
        """The browser had nothing to complain of, but what holds one of these words."""
        left = [item for item in self.complaints if not any(word in item for word in but)]
        assert not left, "\n".join(left)
