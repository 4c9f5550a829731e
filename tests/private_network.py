"""Run a program where its network is its own: a fresh network namespace that dies with it, for demo, bench and tests.

In: a command. Out: the command with `unshare` before it, for root or for an ordinary user, whichever this machine allows.
The program is the first process of a PID namespace: when it ends, or is killed, the kernel ends all that it started.
"""

from __future__ import annotations

import os
import shutil
import subprocess

PATH = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
"""Where nft and ipset are; Debian leaves the last two folders out of an ordinary user's PATH."""
TOOLS = {"unshare": "util-linux", "nft": "nftables", "ipset": "ipset", "ip": "iproute2", "sysctl": "procps"}
"""What is needed, and the Debian package that has it."""

_PRIVATE = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
_USER = ["--user", "--map-root-user"]
_ALLOW = """\
this user may not make a private network. Run it as root, or allow user namespaces, one of:
  sudo sysctl -w kernel.unprivileged_userns_clone=1                (Debian)
  sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0    (Ubuntu)
  docker run --privileged ...                                      (in a container)
  unshare said: """


class Unavailable(Exception):
    """There can be no private network here; the text says what is missing and how to get it."""


def prefix() -> list[str]:
    """Return what to put before a command so that it runs as root of a network of its own. Raises Unavailable."""
    missing = [package for tool, package in TOOLS.items() if not shutil.which(tool, path=PATH)]
    if missing:
        raise Unavailable("programs are missing. Type: sudo apt-get install " + " ".join(missing))
    said = ""
    for command in (_PRIVATE, [*_PRIVATE, *_USER]) if os.geteuid() == 0 else ([*_PRIVATE, *_USER],):
        probe = [*command, "sh", "-c", "nft list ruleset && ipset list -n && ip link set lo up"]
        done = subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment(), check=False)
        if done.returncode == 0:
            return command
        said = said or done.stderr.strip()
    raise Unavailable(_ALLOW + said)


def environment() -> dict[str, str]:
    """Return the environment for such a command: one in which nft and ipset are found."""
    return dict(os.environ, PATH=PATH)
