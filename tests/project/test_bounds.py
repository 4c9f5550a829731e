"""The table of bounds and the code say the same: each row, and no row that nothing holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nfa.cli import answer
from nfa.compiler import catalogue
from nfa.compiler.config import entries, jsontext
from nfa.compiler.expression import grammar, regex
from nfa.compiler.expression import index as compiled_index
from nfa.daemon import daemon, loader, loop
from nfa.daemon.base import portable
from nfa.daemon.bus import blob, control, methods, news, ubus
from nfa.daemon.engine import engine, flows, index, policy, rx, view
from nfa.daemon.netlink import conntrack
from nfa.daemon.netlink import socket as netlink
from nfa.daemon.processes import child, lookups, program
from nfa.daemon.sinks import channel, listener, remembered
from nfa.daemon.sinks import log as sink_log
from nfa.daemon.stream import client
from nfa.daemon.targets import log, pf, registry
from nfa.daemon.targets.connections import icmp
from nfa.daemon.targets.connections import slot as connections
from nfa.daemon.targets.sets import slot, writer
from nfa.image import cpython as image

ROOT = Path(__file__).resolve().parents[2]


def size(count: int) -> str:
    """Bytes as the table has them."""
    if count < 1 << 20:
        return f"{count >> 10} KiB"
    return f"{count >> 20} MiB" if count % (1 << 20) == 0 else f"{count / (1 << 20):.1f} MiB"


BOUNDS: dict[str, tuple[str, ...]] = {
    "one record": (size(portable.MAX_RECORD),),
    "bytes of the stream kept": (f"one chunk of {size(portable.CHUNK)}",),
    "records of one turn of the loop": (f"those in {size(portable.CHUNK)}",),
    "live flows": (f"{engine.MAX_FLOWS:,} (`max_flows`)", f"at most {flows.MAX_DROPPED:,} at once"),
    "a flow not heard from": (f"{engine.LIFETIME} to {2 * engine.LIFETIME:,} s",),
    "elements remembered for one set": (f"{slot.MAX_LIVE:,}",),
    "caches of addresses, names, numbers": (f"{view.CACHE_LIMIT:,} each",),
    "masks of one attribute's values": (f"{index.MAX_REMEMBERED:,}, fewer", size(index.MASKS)),
    "verdicts": (f"{policy.MAX_PLANS:,}, fewer", size(policy.VERDICTS)),
    "plans": (f"{policy.MAX_PLANS:,}, and {policy.MAX_PLANNED:,} actions in all",),
    "alternatives of a policy": (f"{compiled_index.MAX_BITS:,}",),
    "a turn of the loop that works on records": (f"{loop.TURN_SECONDS * 1000:.0f} ms and {engine.PART} records",),
    "a string of a record": (f"{view.TEXT_LIMIT:,} characters, {view.LIST_LIMIT} strings of a list",),
    "a regular expression": (
        f"{regex.POSITIONS:,} positions, {rx.ROWS} states, {rx.SYMBOLS} characters cached",
    ),
    "entries of a log interval": (f"{log.MAX_ENTRIES:,}",),
    "sink: flows whose record is remembered for `expired`": (
        f"{remembered.MAX_FLOWS:,}, {size(remembered.MAX_BYTES)} packed",
    ),
    "sink: log, socket, http and mqtt": (
        f"{size(sink_log.MAX_PENDING)} an interval", f"{listener.MAX_READERS} readers, {size(listener.MAX_BEHIND)} each",
        f"{size(listener.MAX_HELD)} for all of a channel", f"a chunk counts {listener.OVERHEAD} bytes",
        f"; {size(channel.MAX_QUEUED)}",
    ),
    "what waits in all sinks together": (size(channel.MAX_WAITING), f"an event counts {channel.OVERHEAD} bytes"),
    "pfctl": (
        f"{pf.BATCH:,} addresses, {pf.LIMIT:.0f} s, {size(program.MAX_WORDS)} of its output", f"{pf.MAX_WAITING:,} to be added",
    ),
    "netlink batch, message": (size(netlink.MAX_SEND), f"{writer.MAX_UNITS} messages"),
    "connections remembered for one target": (f"{connections.MAX_LIVE:,}",),
    "a connection that is not in conntrack": (f"for {connections.PATIENCE} s",),
    "connections to be cut once their element is there": (f"{registry.MAX_CUTS:,}",),
    "conntrack messages in one send": (f"{conntrack.MAX_BATCH}",),
    "reading conntrack for ICMP": (f"{icmp.SLICE * 1000:.0f} ms a turn, {icmp.MAX_ASKED:,} connections",),
    "rounds to find the refused elements of a set": (f"{writer._MAX_ROUNDS} a turn",),
    "control socket": (f"{control.MAX_CLIENTS} clients, {size(control.MAX_REQUEST)} a request or an answer",),
    "an answer": (
        f"{methods.MAX_LIMIT:,} items, {size(methods.PAGE_BYTES)} of them",
        f"{methods.SLICE:,} a turn, {daemon.MAX_WORK} lists",
    ),
    "children": (
        f"{child.MAX_WAITING} wait; a question {size(loader.MAX_QUESTION)}",
        f"its answer {loader.ANSWER_LIMIT} s and {size(loader.MAX_ANSWER)}, its child {size(answer.MAX_MEMORY)}",
    ),
    "name lookups, for sinks": (
        f"{lookups.LIMIT} s; {lookups.MAX_HOSTS} hosts", f"a failure is remembered for {lookups.REMEMBERED:.0f} s",
    ),
    "ubus": (
        f"a message {size(blob.MAX_BODY)}; {size(ubus.MAX_QUEUED)} of events, {size(ubus.MAX_QUEUE)} of answers",
    ),
    "remembered decisions": (
        f"{engine.RECENT}, each with a record of at most {size(engine.MAX_KEPT_RECORD)}",
        f"{engine.MAX_BRIEF_TEXT} characters each",
    ),
    "events of matches": (f"{news.MATCHES_A_SECOND} a second",),
    "connecting to netifyd": (f"{client.CONNECT_TIMEOUT:.0f} s",),
    "compilation": (f"{loader.COMPILE_LIMIT} s, {size(image.MAX_SIZE)} of image",),
    "reports kept by the daemon": (f"{loader.SHOWN_REPORTS}",),
    "configuration file": (f"{size(jsontext.MAX_SIZE)}, {jsontext.MAX_DEPTH} levels",),
    "file of expressions, folder": (f"{size(entries.MAX_SIZE)}, {entries.MAX_FILES:,} files",),
    "one expression": (f"{grammar.MAX_LENGTH:,} characters, {grammar.MAX_DEPTH} parentheses deep",),
    "netify-apps.conf, netify-categories.json": (size(catalogue._LIMIT),),
}  # fmt: skip
"""The beginning of a row's first cell, to what the row must say."""


def table() -> dict[str, str]:
    """The rows of the table, wherever it stands under docs/: first cell to the whole row."""
    pages = [text for file in (ROOT / "docs").rglob("*.md") if "\n## Bounds\n" in (text := file.read_text(encoding="utf-8"))]
    assert len(pages) == 1
    rows = re.findall(r"^\| (.+?) \|(.*)\|$", pages[0].partition("\n## Bounds\n")[2].partition("\n## ")[0], re.MULTILINE)
    return {first: rest for first, rest in rows if first != "what"}


@pytest.mark.parametrize("row", BOUNDS)
def test_a_bound_is_that_of_the_code(row: str) -> None:
    """People would plan a router's memory with numbers that no longer hold."""
    found = [rest for first, rest in table().items() if first == row or first.startswith((row + ":", row + " ("))]
    assert len(found) == 1, row
    for words in BOUNDS[row]:
        assert words in found[0], words


def test_each_row_is_compared_with_the_code() -> None:
    """A row that nothing holds would go on to say what was true once."""
    known = [first for first in table() if any(first == row or first.startswith((row + ":", row + " (")) for row in BOUNDS)]
    assert sorted(known) == sorted(table())
