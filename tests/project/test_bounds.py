"""The Bounds table of the documents and the constants of the code say the same.

Who sizes a router by the table, or judges an attack by it, must be able to rely on each number.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "bounds.md"
UNITS = {
    "": lambda value: f"{value:,}",
    "MiB": lambda value: f"{value >> 20} MiB",
    "KiB": lambda value: f"{value >> 10} KiB",
    "s": lambda value: f"{value:g} s",
    "ms": lambda value: f"{value * 1000:g} ms",
}
# The first cell of each row, to the constants of its limit: module, name and unit.
ROWS: dict[str, list[str]] = {
    "one record": ["daemon.base.portable:MAX_RECORD MiB"],
    "bytes of the stream kept": ["daemon.base.portable:CHUNK KiB"],
    "records of one turn of the loop": ["daemon.base.portable:CHUNK KiB"],
    "live flows": ["daemon.engine.engine:MAX_FLOWS", "daemon.engine.flows:MAX_EVICTED"],
    "records of flows that no known change concerns": ["daemon.engine.kept:SPARE KiB", "daemon.engine.kept:RAW KiB"],
    "a flow not heard from": ["daemon.engine.engine:LIFETIME"],
    "elements remembered for one set": ["daemon.targets.sets.slot:MAX_LIVE"],
    "caches of addresses, names, numbers": ["daemon.engine.view:CACHE_LIMIT"],
    "devices of a configuration": ["compiler.config.devices:MAX_DEVICES"],
    "addresses and MAC addresses of the network": ["daemon.devices.known:MAX_ADDRESSES", "daemon.devices.known:MAX_OF_ONE"],
    "lease files": [
        "daemon.devices.leases:MAX_SIZE KiB", "daemon.devices.leases:MAX_LEASES", "daemon.devices.learning:MAX_FILES",
    ],
    "headers of records that are remembered": ["daemon.stream.framing:MAX_HEADERS"],
    "our networks": ["daemon.engine.networks:MAX_NETWORKS", "daemon.netlink.interfaces:MAX_ROUTES"],
    "interfaces that records came from": ["daemon.engine.networks:MAX_INTERFACES", "daemon.engine.networks:MAX_ORIGINS"],
    "flows remembered to recognise duplicates": ["daemon.engine.networks:MAX_OPEN"],
    "connections that one `adopt` takes": [
        "daemon.targets.connections.adopt:MAX_ADOPTED", "daemon.targets.connections.adopt:BATCH",
        "daemon.targets.connections.adopt:LASTING s",
    ],
    "flows that began before": ["daemon.engine.census:MAX_BEFORE", "daemon.engine.census:WINDOW s"],
    "usage: live flows": ["daemon.usage.counting:MAX_LIVE", "daemon.usage.counting:AGE s"],
    "usage: flows whose statistics came before their record": ["daemon.usage.counting:MAX_WAITING"],
    "usage: counters of the running hour, codes of flows, sets of actions": [
        "daemon.usage.counting:MAX_COUNTERS", "daemon.usage.counting:MAX_CODES", "daemon.usage.sets:MAX_SETS",
        "daemon.usage.sets:SPARE",
    ],
    "usage: rows of an hour, of a day, of actions": [
        "daemon.usage.periods:HOUR_ROWS", "daemon.usage.periods:DAY_ROWS", "daemon.usage.periods:ACTION_ROWS",
        "daemon.usage.periods:HOURS", "daemon.usage.periods:DAYS",
    ],
    "usage: names of devices, applications, actions": [
        "daemon.usage.usage:MAX_DEVICES", "daemon.usage.usage:MAX_APPS", "daemon.usage.usage:MAX_ACTIONS",
        "daemon.usage.usage:MAX_NAME", "daemon.usage.names:KEEP",
    ],
    "usage: the file": ["daemon.usage.store:CHUNK KiB", "daemon.usage.store:MAX_SIZE MiB"],
    "usage: devices of one answer": ["daemon.usage.asking:AT_ONCE"],
    "budgets of a policy, and those that have accounts": [
        "compiler.config.budgets:MAX_BUDGETS", "daemon.usage.budgets:MAX_BOOKS",
    ],
    "accounts of budgets": ["daemon.usage.budgets:MAX_ACCOUNTS"],
    "a bonus": ["daemon.usage.budgets:MAX_BONUS_SECONDS", "daemon.usage.budgets:MAX_BONUS_BYTES"],
    "notices: devices, applications that are remembered; what was told in the last day": [
        "daemon.notices.memory:MAX_DEVICES", "daemon.notices.memory:MAX_APPS", "daemon.notices.memory:MAX_TOLD",
    ],
    "notices: a name in a sentence, the words of a trouble": [
        "daemon.notices.harmless:MAX_NAME", "daemon.notices.harmless:MAX_WORDS",
    ],
    "notices: new devices that wait for their names": ["daemon.notices.notices:MAX_LATER"],
    "masks of one attribute's values (up to 20 such tables)": [
        "daemon.base.portable:ROOM", "daemon.engine.index:MASKS KiB",
    ],
    "verdicts: what the alternatives that hold lead to": [
        "daemon.engine.policy:MAX_PLANS", "daemon.engine.policy:VERDICTS MiB",
    ],
    "plans: combinations of actions that matched together": [
        "daemon.engine.policy:MAX_PLANS", "daemon.engine.policy:MAX_PLANNED",
    ],
    "alternatives of a policy": ["compiler.expression.index:MAX_BITS"],
    "a turn of the loop that works on records": ["daemon.loop:TURN_SECONDS ms"],
    "a string of a record": ["daemon.engine.view:TEXT_LIMIT"],
    "a regular expression": [
        "compiler.expression.regex:POSITIONS", "daemon.engine.rx:ROWS", "daemon.engine.rx:SYMBOLS",
    ],
    "entries of a log interval": ["daemon.targets.log:MAX_ENTRIES"],
    "host name in an entry of a log": ["daemon.targets.log:MAX_HOST"],
    "files of a log target, or of a channel of sink `log`": [
        "compiler.config.options:MAX_FILES", "compiler.config.options:MAX_FILE_BYTES MiB",
    ],
    "sink: flows whose record is remembered for `expired`": ["daemon.sinks.remembered:MAX_FLOWS"],
    "sink: log, socket, http and mqtt": [
        "daemon.sinks.log:MAX_PENDING MiB", "daemon.sinks.listener:MAX_READERS", "daemon.sinks.listener:MAX_BEHIND MiB",
        "daemon.sinks.listener:MAX_HELD MiB", "daemon.sinks.listener:OVERHEAD", "daemon.sinks.channel:MAX_QUEUED MiB",
    ],
    "what waits in all sinks together": ["daemon.sinks.channel:MAX_WAITING MiB", "daemon.sinks.channel:OVERHEAD"],
    "pfctl": [
        "daemon.targets.pf:BATCH", "daemon.targets.pf:LIMIT s", "daemon.processes.program:MAX_WORDS KiB",
        "daemon.targets.pf:MAX_WAITING",
    ],
    "netlink batch, message": ["daemon.netlink.socket:MAX_SEND KiB", "daemon.targets.sets.writer:MAX_UNITS"],
    "connections remembered for one target": ["daemon.targets.sets.slot:MAX_LIVE"],
    "a connection that is not in conntrack": ["daemon.targets.connections.slot:PATIENCE s"],
    "connections to be cut once their element is there": ["daemon.targets.registry:MAX_CUTS"],
    "connections that the kernel did not let go of, to be cut later": [
        "daemon.targets.connections.cuts:MAX_LATER", "daemon.targets.connections.cuts:MAX_AGAIN",
    ],
    "conntrack messages in one send": ["daemon.netlink.conntrack:MAX_BATCH"],
    "reading conntrack for ICMP": [
        "daemon.targets.connections.icmp:SLICE ms", "daemon.targets.connections.icmp:MAX_ASKED",
    ],
    "rules of the firewall, read to see which sets they use": [
        "daemon.targets.sets.usage:SLICE", "daemon.targets.sets.usage:PACE s",
    ],
    "sets without a rule in status": ["daemon.targets.sets.usage:MAX_TOLD"],
    "connections in a map of firewall targets, devices with a limit of their own": ["compiler.provision.firewall:SIZE"],
    "combinations of actions with firewall targets": [
        "daemon.targets.firewall.combinations:MAX_COMBINATIONS", "daemon.targets.firewall.combinations:BY_ACTION",
    ],
    "rounds to find the refused elements of a set": ["daemon.targets.sets.writer:_MAX_ROUNDS"],
    "control socket": [
        "daemon.bus.control:MAX_CLIENTS", "daemon.bus.control:MAX_REQUEST MiB", "daemon.bus.control:MAX_ANSWER MiB",
    ],
    "an answer": [
        "daemon.bus.methods:MAX_LIMIT", "daemon.bus.calls:PAGE_BYTES KiB", "daemon.bus.methods:SLICE",
        "daemon.daemon:MAX_WORK",
    ],
    "children": [
        "daemon.processes.child:MAX_WAITING", "daemon.loader:MAX_QUESTION KiB", "daemon.loader:ANSWER_LIMIT s",
        "daemon.loader:MAX_ANSWER KiB", "cli.answer:MAX_MEMORY MiB",
    ],
    "the child that makes rules and routes of other WANs": [
        "daemon.rerouting:PAUSE s", "daemon.rerouting:LIMIT s", "daemon.rerouting:MAX_ANSWER KiB",
        "daemon.rerouting:END_LIMIT s", "daemon.rerouting:RETRY s",
    ],
    "name lookups, for sinks": [
        "daemon.processes.lookups:LIMIT s", "daemon.processes.lookups:MAX_HOSTS", "daemon.processes.lookups:REMEMBERED s",
    ],
    "ubus": ["daemon.bus.blob:MAX_BODY MiB", "daemon.bus.ubus:MAX_QUEUED KiB", "daemon.bus.ubus:MAX_QUEUE MiB"],
    "remembered decisions": [
        "daemon.engine.engine:RECENT", "daemon.engine.engine:MAX_KEPT_RECORD KiB", "daemon.engine.brief:MAX_BRIEF_TEXT",
    ],
    "events of matches": ["daemon.bus.news:MATCHES_A_SECOND"],
    "connecting to netifyd": ["daemon.stream.client:CONNECT_TIMEOUT s"],
    "compilation": ["daemon.loader:COMPILE_LIMIT s", "image.cpython:MAX_SIZE MiB"],
    "reports kept by the daemon": ["daemon.loader:SHOWN_REPORTS"],
    "files and folders watched": ["cli.compile:MAX_WATCHED"],
    "last good versions kept by the daemon": ["compiler.config.lastgood:MAX_SIZE MiB"],
    "configuration file": ["compiler.config.jsontext:MAX_SIZE MiB", "compiler.config.jsontext:MAX_DEPTH"],
    "file of expressions, folder": ["compiler.config.entries:MAX_SIZE MiB", "compiler.config.entries:MAX_FILES"],
    "one expression": ["compiler.expression.grammar:MAX_LENGTH", "compiler.expression.grammar:MAX_DEPTH"],
    "netify-apps.conf, netify-categories.json": ["compiler.catalogue:_LIMIT MiB"],
    "a list of a category that netifyd has no number for": [
        "compiler.expression.listed:MAX_FILE MiB", "compiler.categories:MAX_ENTRIES",
    ],
}  # fmt: skip


def table() -> dict[str, str]:
    """The rows of the page: what is bounded, to the limit and what happens beyond it."""
    text = PAGE.read_text(encoding="utf-8").partition("\n## Bounds\n")[2]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ", 1)] for line in re.findall(r"^\|.*\|$", text, re.MULTILINE)]
    return {row[0]: row[1] for row in cells[2:]}


def said(constant: str) -> str:
    """A constant, as `module:NAME unit`, in the words of the table."""
    module, _, rest = constant.partition(":")
    name, _, unit = rest.partition(" ")
    return UNITS[unit](getattr(importlib.import_module(f"nfa.{module}"), name))


def test_the_page_and_this_test_have_the_same_rows() -> None:
    """A bound that is added, or taken away, without a look at its constant would soon be wrong."""
    assert list(table()) == list(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_a_bound_is_that_of_the_code(row: str) -> None:
    """Somebody would rely on a limit that does not hold."""
    text = table()[row]
    for constant in ROWS[row]:
        assert re.search(rf"(?<![\d,.]){re.escape(said(constant))}(?![\d,]*\d)", text), (constant, said(constant), text)
