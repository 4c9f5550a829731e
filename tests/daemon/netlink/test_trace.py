"""NFA_DEBUG=netlink: every message is shown, by the kernel's names, and nothing that a stranger sent can garble the lines."""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_messages import ANSWERS, TOOLS
from waiting import patience

from nfa.compiler.provision import nftset
from nfa.daemon.netlink import conntrack, ipset, ipset_sets, nftables, nftables_sets, wire
from nfa.daemon.netlink.trace import Decoder, Traced

ROOT = Path(__file__).parents[3]
little = pytest.mark.skipif(sys.byteorder != "little", reason="recorded on a little-endian machine")


def shown(data: bytes) -> str:
    return "\n".join(Decoder().lines(data))


def test_elements_are_shown_by_name_with_their_keys_and_times() -> None:
    """A number that one has to look up in the header shows nothing at three in the morning."""
    encoder = nftables.Elements(1, "nfa", "tube.v4", (4,), 120_000)
    assert shown(encoder.encode(nftables.NEW, 7, [b"\0\1\xc0\0\2\1"])) == (
        "NFT_MSG_NEWSETELEM length 72 flags REQUEST,CREATE sequence 7 port 0 family 1 version 0 resource 0\n"
        '  NFTA_SET_ELEM_LIST_TABLE "nfa"\n'
        '  NFTA_SET_ELEM_LIST_SET "tube.v4"\n'
        "  NFTA_SET_ELEM_LIST_ELEMENTS\n"
        "    NFTA_LIST_ELEM\n"
        "      NFTA_SET_ELEM_KEY\n"
        "        NFTA_DATA_VALUE 0xc0000201\n"
        "      NFTA_SET_ELEM_TIMEOUT 120000"
    )


def test_a_set_is_shown_by_name() -> None:
    key = nftset.key_of(["other_addr"], 4)
    text = shown(b"".join(nftset.create(1, "t", "x", key, ttl=60, size=9)))
    assert text.startswith("NFT_MSG_NEWTABLE ")
    for line in ("NFTA_SET_KEY_LEN 4", "NFTA_SET_FLAGS 16", "NFTA_SET_TIMEOUT 60000", "  NFTA_SET_DESC_SIZE 9"):
        assert f"  {line}\n" in text


def test_an_ipset_is_shown_by_name() -> None:
    """In CREATE an attribute means another thing than in ADD: 19 is the size of a set, or the name of another."""
    made = shown(ipset_sets.create("x", "hash:ip", 2, 7, 4, 60, 99, None, 0))
    assert "IPSET_CMD_CREATE" in made and "    IPSET_ATTR_MAXELEM 99\n" in made + "\n"
    encoder = ipset.Elements("x", 4, ("other_addr", "ip_proto", "other_port"), 7, 60, None)
    added = shown(encoder.encode(ipset.ADD, 1, [b"\0\0\xc0\0\2\1\6\1\xbb"]))
    assert "IPSET_CMD_ADD" in added
    for line in ("IPSET_ATTR_IPADDR_IPV4 0xc0000201", "IPSET_ATTR_PORT 443", "IPSET_ATTR_PROTO 6", "IPSET_ATTR_TIMEOUT 60"):
        assert line in added


def test_a_connection_is_shown_by_name() -> None:
    packed = b"\4\6\xc0\0\2\1\xc0\0\2\2\0\x50\1\xbb"
    text = shown(conntrack.encode(conntrack.UPDATE, 1, packed, conntrack.mark(1, 0xFF)))
    assert "IPCTNL_MSG_CT_NEW" in text
    for line in ("CTA_IP_V4_SRC 0xc0000201", "CTA_PROTO_DST_PORT 443", "CTA_MARK 1", "CTA_MARK_MASK 255"):
        assert line in text
    asked = shown(conntrack.read(3, 4, 1, True))
    assert "IPCTNL_MSG_CT_GET length" in asked and "flags REQUEST,DUMP " in asked


@little
def test_a_refusal_tells_of_which_message_and_why() -> None:
    """The error number alone is what the log has already."""
    text = shown(bytes.fromhex(ANSWERS["no set"]))
    assert "NLMSG_ERROR" in text and f"error {errno.ENOENT} (No such file or directory)" in text
    assert "of message 0x0a0c sequence 2" in text
    assert "NLMSGERR_ATTR_OFFS 28" in text
    assert "error 4352" in shown(bytes.fromhex(ANSWERS["ipset, third is too many"]))


def test_a_name_from_a_stranger_cannot_make_lines_of_its_own() -> None:
    """Any program may name a table so that the log seems to tell of something else, or paints the terminal."""
    text = shown(nftables_sets.flush(1, "t\nnfa: error: all is lost\x1b[2J", 'a" b\u202e'))
    assert len(text.splitlines()) == 3
    assert '"t\\nnfa: error: all is lost\\x1b[2J"' in text
    assert '"a\\" b\\u202e"' in text


@given(st.sampled_from([bytes.fromhex(raw) for raw in (*TOOLS.values(), *ANSWERS.values())]), st.data())
def test_nothing_that_comes_ends_the_one_who_shows_it(raw: bytes, data: st.DataObject) -> None:
    """Looking for a fault must not be one."""
    damaged = bytearray(raw)
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    text = shown(bytes(damaged[: data.draw(st.integers(0, len(raw)))]))
    assert text.isascii() or text.isprintable() or all(line.isprintable() for line in text.splitlines())


@given(st.binary(max_size=80))
def test_nothing_is_left_out(payload: bytes) -> None:
    """What does not fit the format is what one looks for: it comes in hexadecimal."""
    body = wire.nfgen(1) + payload
    text = shown(struct.pack("=IHHII", 16 + len(body), 0xAFF, 1, 1, 0) + body)
    digits = "".join(re.findall(r"(?:0x|attribute: )([0-9a-f]+)", text.partition("\n")[2]))
    for place, _ in enumerate(payload):
        inside = payload[place : place + 1].hex()
        assert inside in digits or "attribute" in text


def test_a_socket_prints_what_it_sends_and_receives(capfd: pytest.CaptureFixture[str]) -> None:
    """Half of the conversation would be missing."""
    try:
        link = Traced(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    except OSError as reason:
        pytest.skip(f"no netlink: {reason}")
    with link:
        link.bind((0, 0))
        link.settimeout(10)
        link.send(nftables_sets.ask_set(5, 1, "none", "none"))
        link.recv(65536)
    lines = capfd.readouterr().err.splitlines()
    number = r"\d+"
    assert re.fullmatch(rf"nfa: netlink {number} > NFT_MSG_GETSET length .* sequence 5 port 0 family 1 .*", lines[0])
    assert any(re.fullmatch(rf"nfa: netlink {number} < NLMSG_ERROR .*", line) for line in lines)


PROGRAM = """
import sys
from nfa.daemon.netlink.socket import open_socket
made = open_socket()
print(type(made).__name__, "nfa.daemon.netlink.trace" in sys.modules)
"""


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", "socket False"), ("netlink", "Traced True"), ("x,netlink", "Traced True"), ("netlinks", "socket False")],
)
def test_only_who_asks_for_it_pays(value: str, expected: str) -> None:
    """The tables take memory, and each line time."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    environment = {**os.environ, "NFA_DEBUG": value, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.strip() == expected, done.stderr


def test_the_compiler_shows_its_questions(tmp_path: Path) -> None:
    """What it found in the kernel decides how the daemon treats a set."""
    policy = tmp_path / "policy.json"
    policy.write_text('{"version": 1, "targets": {"s": {"target_type": "nftset", "set_name": "nfa-trace"}}}')
    command = [sys.executable, "-m", "nfa", "check", "--no-uci", "-c", str(policy), "--state-dir", str(tmp_path)]
    environment = {**os.environ, "NFA_DEBUG": "netlink"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=ROOT, timeout=patience(60))
    assert "> NFT_MSG_GETSET" in done.stderr and 'NFTA_SET_NAME "nfa-trace.v4"' in done.stderr
    assert "NFT_MSG" not in done.stdout
