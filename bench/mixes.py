"""Policies of any size to measure with, in three mixes, as a household or an office would have them.

In: how many actions, and which mix. Out: the policy as JSON, and a file of the address groups that it names. The same
numbers always give the same policy, and a larger policy has all actions of a smaller one of its mix, in the same order.

    indexable    equality and membership only: applications, protocols, categories, ports, networks, groups
    mixed        85 of 100 are such, 15 are of the kind below
    unindexable  regular expressions on host names, order comparisons, negations, ORs over several attributes
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count as numbers
from pathlib import Path
from random import Random
from typing import Any

from nfa.compiler import catalogue

SHARE = {"indexable": 0, "mixed": 15, "unindexable": 100}
"""Of 100 actions, those that no index of equal values finds."""
_USUAL = [
    "youtube", "netflix", "facebook", "instagram", "twitter", "reddit", "microsoft", "akamai", "azure", "spotify",
    "apple-icloud", "apple-itunes", "dropbox", "yahoo", "google-ads", "office-365", "discord", "snapchat",
]  # fmt: skip
_PROTOCOLS = ["bittorrent", "http/s", "quic", "whatsapp", "steam", "stun", "sip", "openvpn", "ssdp", "vnc", "telegram"]
_CATEGORIES = ["social-media", "games", "advertiser", "adult", "streaming-media", "malware", "vpn-and-proxy", "file-sharing"]
_NETWORKS = ["31.13.0.0/16", "2a00:1450::/32", "52.114.0.0/16", "179.60.0.0/16", "91.108.0.0/16", "172.217.0.0/16"]
_REGEXES = [
    r"(^|\.)doubleclick\.net$", r"^ads?[0-9]*\.", r"\.(zoom|webex)\.", "tracker",
    r"(^|\.){0}\.(com|net)$", r"^(www|cdn|api)[0-9]*\.{0}\.", r"{0}-?[0-9]+\.", r"\.{0}(usercontent|static|cdn)\.",
]  # fmt: skip
"""The first four are taken as they are, once; the others with a name for `{0}`."""
_GROUPS = 40
_SETS = [f"{kind}.s{number}" for number in range(4) for kind in ("nftset", "ipset")]


class _Names:
    """The names that criteria are made of: usual ones first, then the rest of the built-in catalogue."""

    def __init__(self, rng: Random) -> None:
        names = catalogue.builtin()
        tags = [name.removeprefix("netify.") for name in names.applications if name.startswith("netify.")]
        self.applications = _first(_USUAL, tags, rng)
        self.protocols = _first(_PROTOCOLS, [name for name in names.protocols if name not in ("dns", "unknown")], rng)
        self.categories = _first(_CATEGORIES, [name for name in names.application_categories if name != "unknown"], rng)


def _first(usual: list[str], every: list[str], rng: Random) -> list[str]:
    """Return all names, the usual ones first."""
    others = sorted(set(every) - set(usual))
    rng.shuffle(others)
    return [name for name in usual if name in every] + others


def _combined(names: list[str], other: str, values: Iterator[Any]) -> Iterator[str]:
    """Give each name alone once, then each with one more condition, for ever."""
    yield from [f"== '{name}';" for name in names]
    for value in values:
        for name in names:
            yield f"== '{name}' && {other} == {value};"


def _networks(rng: Random) -> Iterator[str]:
    yield from _NETWORKS
    while True:
        length = rng.choice((16, 20, 22, 24, 24, 48))
        if length == 48:
            yield f"2{rng.randrange(0x400, 0xC00):x}:{rng.randrange(1, 0xFFFF):x}:{rng.randrange(1, 0xFFFF):x}::/48"
        else:
            number = rng.randrange(11 << 24, 223 << 24) >> (32 - length) << (32 - length)
            yield ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0)) + f"/{length}"


def _indexable(names: _Names, rng: Random) -> Iterator[str]:
    """Give criteria of equality and membership: four of ten by application alone, as long as there are names."""
    applications = _combined(names.applications, "local_ip", (f"192.168.{n % 256}.0/24" for n in numbers(3)))
    protocols = _combined(names.protocols, "other_port", (8000 + n for n in numbers()))
    categories = _combined(names.categories, "local_ip", (f"10.{n >> 8}.{n & 255}.0/24" for n in numbers(1)))
    networks = _networks(rng)
    for turn in numbers():
        yield "app " + next(applications)
        yield "protocol " + next(protocols)
        yield "app " + next(applications)
        yield "category " + next(categories)
        yield "app " + next(applications)
        yield f"ip_protocol == {rng.choice((6, 17))} && other_port == {2000 + turn};"
        yield f"other_ip == {next(networks)};"
        yield "app " + next(applications)
        three = " || ".join(f"app == '{name}'" for name in rng.sample(names.applications, 3))
        yield f"({three}) && local_ip == 192.168.{turn % 256}.{turn // 256 * 16}/28;"
        group = f"@group-{turn % _GROUPS}"
        yield f"other_ip == {group};" if turn < _GROUPS else f"local_ip == {group} && other_port == {turn};"


def _unindexable(names: _Names, rng: Random) -> Iterator[str]:
    """Give criteria of four kinds in turn; each kind has regular expressions too, as users write them."""
    for turn in numbers():
        name = names.applications[turn % len(names.applications)]
        label = name if turn < len(names.applications) else f"{name}{turn}"
        pattern = _REGEXES[turn] if turn < 4 else _REGEXES[4 + turn % 4].format(label)
        low = 1024 + turn * 37 % 60000
        yield f"detected_hostname == 'rx:{pattern}';"
        yield f"other_port >= {low} && other_port <= {low + 20} && ndpi_risk_score > {turn % 90};"
        protocol = names.protocols[turn % len(names.protocols)]
        yield f"!(protocol == '{protocol}') && other_port == {low + 5} && local_ip != 192.168.{turn % 256}.0/24;"
        network = f"{rng.randrange(11, 223)}.{rng.randrange(256)}.0.0/16"
        yield f"(app == '{name}' && ssl_version < 0x0303) || (other_ip == {network} && other_port < {low});"


def criteria(mix: str, count: int) -> list[str]:
    """Return so many different criteria. `mix`: a key of SHARE."""
    names = _Names(Random(1))
    simple, others = _indexable(names, Random(2)), _unindexable(names, Random(3))
    share = SHARE[mix]
    # Not by chance: the first 10 actions have their share of the others too.
    return [next(others if (number + 1) * share // 100 > number * share // 100 else simple) for number in range(count)]


def groups() -> dict[str, Any]:
    """Return netifyd's address-groups.json: servers, printers and guests, as offices have them."""
    rng = Random(2)
    found = []
    for number in range(_GROUPS):
        hosts = [".".join(str(rng.randrange(11, 223)) for _ in range(4)) for _ in range(4)]
        found.append({"name": f"group-{number}", "ips": [*hosts, f"10.77.{number}.0/24", f"2001:db8:{number}::/48"]})
    return {"address_groups": found}


def policy(folder: Path, count: int = 100, mix: str = "mixed") -> dict[str, Any]:
    """Return a policy of so many actions on eight sets and a log. `folder`: where the log goes.

    YouTube, the first action, is put into an nftables set, BitTorrent, the second, into an ipset, in all mixes that have them.
    """
    actions: dict[str, Any] = {}
    for number, text in enumerate(criteria(mix, count)):
        actions[f"action-{number:04}"] = {"criteria": text, "targets": [_SETS[number % len(_SETS)]]}
    actions["action-0002"]["exemptions"] = ["app == 'netify.twitter';", "192.168.1.50"]
    actions["action-0004"]["targets"].append("log.all")
    targets: dict[str, Any] = {name: {"target_type": name[:-3], "set_name": name} for name in _SETS}
    targets |= {"log.all": {"target_type": "log", "path": str(folder / "log"), "interval": 300}}
    targets["nftset.s1"]["type"] = ["other_addr"]
    targets["ipset.s1"]["type"] = "hash:ip"
    common = {"ttl": 600, "managed": True, "set_family": "*", "flush_on_create": True, "flush_on_destroy": True}
    defaults = {"nftset": common | {"table_name": "bench"}, "ipset": common | {"type": "hash:ip,port,ip"}}
    return {"version": 1, "exemptions": ["10.99.0.0/16"], "actions": actions, "targets": targets, "target_defaults": defaults}


def write(folder: Path, count: int = 100, mix: str = "mixed", usage: bool = True) -> Path:
    """Write a policy to a file, and its groups beside it; return the policy's path."""
    path = folder / f"{mix}-{count}{'' if usage else '-no-usage'}.json"
    path.write_text(json.dumps(policy(folder, count, mix) | {"usage": usage}, indent=1))
    (folder / "address-groups.json").write_text(json.dumps(groups()))
    return path
