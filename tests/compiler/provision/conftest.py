"""A private network namespace, a socket into it, and targets with all their options."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nfa.compiler.base.report import Place
from nfa.compiler.config.model import Target

CLONE_NEWNET = 0x40000000
NETLINK_NETFILTER = 12
LIBC = ctypes.CDLL(None, use_errno=True)

IPSET_OPTIONS: dict[str, Any] = {
    "set_name": "x", "type": "hash:ip", "address_type": "other", "families": (4, 6), "ttl": 120,
    "managed": True, "size": 65536, "flush_on_create": False, "flush_on_destroy": True, "skb_mark": None,
    "skb_mask": 0xFFFFFFFF, "skb_prio": None, "skb_queue": None, "range": None,
}  # fmt: skip
NFTSET_OPTIONS: dict[str, Any] = {
    "set_name": "x", "table_name": "t", "table_family": "inet", "families": (4, 6), "ttl": 120,
    "type": ("other_addr",), "managed": True, "size": 65536, "flush_on_create": True,
    "flush_on_destroy": False,
}  # fmt: skip


@pytest.fixture
def target() -> Callable[..., Target]:
    """Make a target of a kind, with options changed."""

    def make(kind: str, enabled: bool = True, **changed: Any) -> Target:
        options = (IPSET_OPTIONS if kind == "ipset" else NFTSET_OPTIONS) | changed
        return Target(f"{kind}.x", Place("nfa.json", 7, 5), kind, enabled, "*", options)

    return make


@pytest.fixture
def namespace() -> Iterator[Callable[[str], str]]:
    """Be in a fresh network namespace; gives a function that runs a shell command there."""
    if not (shutil.which("nft") and shutil.which("ipset")):
        pytest.skip("needs the nft and ipset tools")
    with open("/proc/self/ns/net", "rb") as before:
        if LIBC.unshare(CLONE_NEWNET):
            pytest.skip(f"no private network namespace ({os.strerror(ctypes.get_errno())}): unshare -rn pytest")

        def run(command: str) -> str:
            done = subprocess.run(f"set -e; {command}", shell=True, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{command}: {done.stderr}"
            return done.stdout

        try:
            yield run
        finally:
            assert LIBC.setns(before.fileno(), CLONE_NEWNET) == 0


@pytest.fixture
def send(namespace: Callable[[str], str]) -> Iterator[Callable[..., list[int]]]:
    """Send messages to the namespace's kernel, in a batch or as they are; gives the error number of each."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as link:
        link.settimeout(5)

        def exchange(*messages: bytes, batch: bool = False) -> list[int]:
            numbered = []
            for sequence, message in enumerate(messages, 1):
                length, kind, flags, _, _ = struct.unpack_from("=IHHII", message)
                assert length == len(message)
                numbered.append(struct.pack("=IHHII", length, kind, flags | 4, sequence, 0) + message[16:])
            if batch:
                begin, end = (struct.pack("=IHHIIBBH", 20, kind, 1, 0, 0, 0, 0, 0x0A00) for kind in (16, 17))
                link.send(begin + b"".join(numbered) + end)
            else:
                for message in numbered:
                    link.send(message)
            errors = {}
            while len(errors) < len(messages):
                reply, offset = link.recv(65536), 0
                while offset < len(reply):
                    length, kind, _, sequence, _, code = struct.unpack_from("=IHHIIi", reply, offset)
                    assert kind == 2, "only ACKs and errors are expected"
                    errors[sequence] = -code
                    offset += length + 3 & ~3
            return [errors[sequence] for sequence in sorted(errors)]

        yield exchange
