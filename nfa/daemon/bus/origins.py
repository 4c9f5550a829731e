"""Where records come from, for status: interfaces, our networks, flows that began before; and what of it needs somebody's eye.

In: the daemon. Out: plain data, and findings (`base.findings`) that only the running daemon can have.
"""

from ..base.findings import finding
from ..base.portable import monotonic
from ..engine.addresses import network_of
from ..engine.networks import OURS

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any, Protocol

    from ..base.findings import Finding
    from ..engine.engine import Engine
    from ..engine.networks import Networks
    from ..netlink.interfaces import Interfaces
    from ..stream.client import Client

    Data = dict[str, Any]

    class Hearing(Protocol):
        """Who hears netifyd."""

        client: Client
        engine: Engine

    class Knowing(Hearing, Protocol):
        """Who knows the router's networks, too."""

        interfaces: Interfaces

        def now(self) -> int: ...


SILENT = 60.0
"""Seconds in which a netifyd that is connected sends something: 4.x has a status every 15 seconds."""
ENOUGH_FLOWS = 200
"""Flow records after which an interface or network that none came from is reported, and `ENOUGH_TIME`: seconds."""
ENOUGH_TIME = 300.0
MAX_TOLD = 8
"""Findings of one kind."""


def networks(daemon: "Knowing", wall: "Callable[[int, int], int | None]") -> "Data":
    """Return our networks, and which interfaces and networks flow records came from. `wall`: that of `status`."""
    known: Networks = daemon.engine.networks
    now = daemon.now()
    shown = list(known.origins.values())
    interfaces: Data = {}
    for name, seen in known.seen.items():
        rows = [origin for origin in shown if origin.interface == name]
        interfaces[name] = {
            "side": "" if seen.internal is None else "lan" if seen.internal else "wan",
            "records": sum([origin.count for origin in rows]),
            "last": wall(max([0] + [origin.last for origin in rows]), now),
            "duplicates": seen.twice,
        }
    listed = [
        {"interface": one.interface, "network": one.network, "records": one.count, "last": wall(one.last, now)} for one in shown
    ]
    return {
        "known": known.known,
        "trouble": daemon.interfaces.trouble,
        "ours": [{"network": place.text, "interface": place.interface} for place in known.places[:64]],
        "left_out": known.left_out + max(0, len(known.places) - 64),
        "interfaces": interfaces,
        "origins": listed,
        "turned": known.turned,
        "retyped": known.retyped,
        "duplicates": known.twice,
    }


def findings(daemon: "Knowing") -> "list[Finding]":
    """Return what the daemon has noticed of its source and of what the policy asks for."""
    found: list[Finding] = []
    silence = silent(daemon)
    if silence:
        found.append(silence)
    if daemon.interfaces.trouble:
        found.append(
            finding(
                "warning", "networks-unknown", "the router's networks are not known: " + daemon.interfaces.trouble,
                "let the daemon open netlink sockets (AF_NETLINK)", "flows keep the local end that netifyd gives them",
            )
        )  # fmt: skip
    older = len(daemon.engine.census.late)
    if older:
        least = "at least " if daemon.engine.census.more else ""
        found.append(
            finding(
                "info", "flows-before", least + str(older) + " live flows began before nfa: netifyd does not report them again",
                "nfa adopt --dry-run says what it would take to have them begin again",
                "no policy is applied to them until they begin again",
            )
        )  # fmt: skip
    return found + _missing(daemon)


def silent(daemon: "Hearing") -> "Finding | None":
    """Return the finding that a connected source sends nothing."""
    since = monotonic() - max(daemon.client.connected_at, daemon.engine.heard_at)
    if daemon.client.state != "connected" or since < SILENT:
        return None
    words = "connected to " + daemon.client.uri + ", but nothing has come for " + str(int(since)) + " seconds"
    return finding(
        "warning", "source-silent", words,
        "netifyd 5 has a command socket, which streams nothing: name a channel of its sink-socket plugin as the source; "
        "a netifyd 4 that is busy or stopped is silent, too",
        "no flow is seen",
    )  # fmt: skip


def _missing(daemon: "Knowing") -> "list[Finding]":
    """Return the interfaces and networks that actions ask for, and no flow record came from, while others did."""
    engine, known = daemon.engine, daemon.engine.networks
    if engine.policy is None or engine.kinds["flow"] < ENOUGH_FLOWS or monotonic() - daemon.client.first_at < ENOUGH_TIME:
        return []
    found: list[Finding] = []
    told: dict[tuple[str, str], None] = {}
    sides = [seen.internal for seen in known.seen.values()]
    for action, kind, value in engine.policy.wanted:
        where = _unseen(known, sides, kind, value)
        if not where or (action, where) in told:
            continue
        told[(action, where)] = None
        if len(found) < MAX_TOLD:
            found.append(
                finding(
                    "warning", "never-seen", "action '" + action + "': no flow record came from " + where,
                    "netifyd may not capture it: see its options -I and -E, or its list of interfaces",
                    "this condition has never held",
                )
            )  # fmt: skip
    return found


def _unseen(known: "Networks", sides: "list[bool | None]", kind: str, value: str) -> str:
    """Return what an action asks for that no record came from, in words; "" when one did, or nobody can tell."""
    if kind == "side":
        return "" if (value == "lan") in sides else "the " + value.upper() + " side"
    if kind == "interface":
        return "" if value in known.seen else "interface '" + value + "'"
    if not known.known:
        return ""
    packed, _ = network_of(value)
    place = known.place_of(packed)
    if place.kind != OURS or any(one.network == place.text and one.count for one in known.origins.values()):
        return ""
    return "network " + place.text + " (" + place.interface + ")"
