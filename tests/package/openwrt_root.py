"""A folder that looks like a router's `/` to /etc/init.d/nfa: OpenWrt's own shell libraries, and a `ubus` that takes notes.

In: $OPENWRT_BASE, an OpenWrt source tree (of which package/base-files, package/system/procd and package/system/uci are used),
and $NFA_PEERS, where `jshn`, `uci`, `validate_data` and share/libubox/jshn.sh are. Out: commands run in it (chroot), and the
requests that would have gone to procd.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from private_network import Unavailable, environment, prefix

ROOT = Path(__file__).resolve().parents[2]
BASE = Path(os.environ.get("OPENWRT_BASE", "/nonexistent"))
PEERS = Path(os.environ.get("NFA_PEERS", "/nonexistent"))

# OpenWrt's file, where it comes from, and the rights it has.
_SCRIPTS = {
    "etc/rc.common": BASE / "package/base-files/files/etc/rc.common",
    "lib/functions.sh": BASE / "package/base-files/files/lib/functions.sh",
    "lib/functions/service.sh": BASE / "package/base-files/files/lib/functions/service.sh",
    "lib/functions/procd.sh": BASE / "package/system/procd/files/procd.sh",
    "lib/config/uci.sh": BASE / "package/system/uci/files/lib/config/uci.sh",
    "usr/share/libubox/jshn.sh": PEERS / "share/libubox/jshn.sh",
}
_PROGRAMS = {
    "usr/bin/jshn": PEERS / "bin/jshn",
    "sbin/uci": PEERS / "bin/uci",
    "sbin/validate_data": PEERS / "sbin/validate_data",
}
_APPLETS = (
    *("sh", "basename", "cat", "chgrp", "chmod", "chown", "env", "flock", "grep", "killall", "ln", "mkdir", "readlink"),
    *("rm", "sed", "tail", "tr"),
)

# Requests are noted, one a line. `list OBJECT` finds nfa when the daemon is said to run.
_UBUS = """\
#!/bin/sh
echo "$@" >>/tmp/requests
case "$*" in *"list nfa"*) [ -e /tmp/daemon-is-on-ubus ] || exit 4 ;; esac
"""
_LOGGER = """\
#!/bin/sh
echo "$@" >>/tmp/log
"""


def missing() -> str:
    """Why there can be no such folder here; "" when there can."""
    if not shutil.which("busybox"):
        return "needs busybox"
    if not BASE.is_dir() or not PEERS.is_dir():
        return "needs $OPENWRT_BASE and $NFA_PEERS"
    absent = [str(path) for path in [*_SCRIPTS.values(), *_PROGRAMS.values()] if not path.exists()]
    if absent:
        return f"needs {', '.join(absent)}"
    try:
        prefix()
    except Unavailable as reason:
        return str(reason)
    return ""


@dataclass
class Router:
    """The folder, and what happens in it."""

    path: Path

    def write(self, name: str, text: str, rights: int = 0o644) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(rights)
        return file

    def copy(self, source: Path, name: str, rights: int = 0o755) -> None:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)
        target.chmod(rights)

    def copy_program(self, source: Path, name: str) -> None:
        """Copy a program, its loader, and its libraries to where the loader looks for them."""
        self.copy(source, name)
        where = {**environment(), "LD_LIBRARY_PATH": str(PEERS / "lib")}
        listed = subprocess.run(["ldd", str(source)], capture_output=True, text=True, check=True, env=where).stdout
        for named, found in re.findall(r"(?:(\S+) => )?(/\S+) \(0x", listed):
            self.copy(Path(found), f"usr/lib/{named}" if named else found.lstrip("/"))

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command with this folder as its root."""
        inside = ["chroot", str(self.path), "/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *command]
        return subprocess.run(
            [*prefix(), *inside], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environment()
        )

    def configure(self, text: str) -> None:
        self.write("etc/config/netify-proc-flow-actions", text)

    def service(self, action: str) -> subprocess.CompletedProcess[str]:
        """Run `service nfa ACTION`; the notes of earlier ones are forgotten."""
        for name in ("requests", "log"):
            (self.path / "tmp" / name).unlink(missing_ok=True)
        done = self.run("/etc/init.d/nfa", action)
        assert done.returncode == 0, done.stderr
        return done

    @property
    def requests(self) -> list[str]:
        """What `ubus` was asked, a line each."""
        file = self.path / "tmp/requests"
        return file.read_text().splitlines() if file.exists() else []

    def procd(self, method: str) -> list[dict[str, Any]]:
        """The arguments of each call of procd's `service METHOD`."""
        start = f"call service {method} "
        return [json.loads(line.removeprefix(start)) for line in self.requests if line.startswith(start)]

    @property
    def log(self) -> str:
        file = self.path / "tmp/log"
        return file.read_text() if file.exists() else ""


def make(path: Path) -> Router:
    """Make the folder, with our own files in it as the Makefile installs them."""
    router = Router(path)
    for name, source in _SCRIPTS.items():
        router.copy(source, name)
    for name, source in _PROGRAMS.items():
        router.copy_program(source, name)
    router.copy_program(Path(shutil.which("busybox") or ""), "bin/busybox")
    for applet in _APPLETS:
        (path / "bin" / applet).symlink_to("busybox")
    router.write("usr/bin/ubus", _UBUS, 0o755)
    router.write("usr/bin/logger", _LOGGER, 0o755)
    for folder in ("etc/config", "etc/rc.d", "tmp/.uci", "var/lock", "var/run", "var/state", "dev"):
        (path / folder).mkdir(parents=True, exist_ok=True)
    (path / "dev/null").touch()
    for file in (ROOT / "files").rglob("*"):
        if file.is_file() and file.parent.name != "config":
            router.copy(file, str(file.relative_to(ROOT / "files")), file.stat().st_mode & 0o777)
    return router
