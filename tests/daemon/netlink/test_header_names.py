"""The numbers that netlink messages are made of are those of the kernel's headers, under the same names."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

from nfa.daemon import netlink
from nfa.daemon.netlink import conntrack, ipset, ipset_sets, monitor, nftables, nftables_rules, nftables_sets, rule_dumps, trace

HEADERS = Path("/usr/include/linux")
FILES = (
    "netlink.h", "netfilter/nfnetlink.h", "netfilter/nf_tables.h", "netfilter/nfnetlink_conntrack.h",
    "netfilter/ipset/ip_set.h", "netfilter/ipset/ip_set_hash.h", "rtnetlink.h", "if_link.h", "if_addr.h", "neighbour.h", "if.h",
)  # fmt: skip
OURS = re.compile(
    r"(NFTA|NFT|NFNL|IPSET|IPCTNL|CTA|NLM|NLMSG|NLMSGERR|NLA|NETLINK|RTM|RTNLGRP|IFF|IFLA|IFA|NUD|NDA|RTA|RTN|RTEXT|RT)_[A-Z0-9_]+"
)
NOT_THERE = {"NLA_TYPE_MASK"}  # the header has it as the complement of the two flags
TYPES = {
    "NFT_MSG_NEWTABLE": nftables_sets.NEW_TABLE,
    "NFT_MSG_NEWSET": nftables_sets.NEW_SET,
    "NFT_MSG_GETSET": nftables_sets.GET_SET,
    "NFT_MSG_DELSET": nftables_sets.DEL_SET,
    "NFT_MSG_NEWRULE": nftables_rules.NEW_RULE,
    "NFT_MSG_GETRULE": rule_dumps.GET_RULE,
    "NFT_MSG_NEWSETELEM": nftables.NEW,
    "NFT_MSG_DELSETELEM": nftables.DEL,
    "NFT_MSG_DELTABLE": monitor.TABLE_GONE,
    "NFT_MSG_DELRULE": monitor.RULE_GONE,
    "IPSET_CMD_PROTOCOL": ipset_sets.PROTOCOL,
    "IPSET_CMD_CREATE": ipset_sets.CREATE,
    "IPSET_CMD_DESTROY": ipset_sets.DESTROY,
    "IPSET_CMD_FLUSH": ipset_sets.FLUSH,
    "IPSET_CMD_TYPE": ipset_sets.TYPE,
    "IPSET_CMD_LIST": monitor.LIST,
    "IPSET_CMD_ADD": ipset.ADD,
    "IPSET_CMD_DEL": ipset.DEL,
    "IPCTNL_MSG_CT_NEW": conntrack.UPDATE,
    "IPCTNL_MSG_CT_GET": conntrack.READ,
    "IPCTNL_MSG_CT_DELETE": conntrack.DELETE,
}
SUBSYSTEMS = {"NFT_": nftables.NFNL_SUBSYS_NFTABLES, "IPS": ipset.NFNL_SUBSYS_IPSET, "IPC": 1}


def value_of(text: str, known: dict[str, int]) -> int | None:
    """The value of a C expression of numbers and names; None for anything else."""
    text = re.sub(r"(?<=[0-9])[uUlL]+\b", "", text)
    text = re.sub(r"\b[A-Za-z_]\w*", lambda name: str(known.get(name[0], "?")), text)
    return int(eval(text, {})) if re.fullmatch(r"[0-9a-fx|<()+ -]+", text) else None


def read(file: Path, found: dict[str, int]) -> None:
    """Add the numbers that a header defines."""
    text = re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.DOTALL)
    for body in re.findall(r"enum\s*\w*\s*\{(.*?)\}", text, re.DOTALL):
        last: int | None = -1
        for item in re.sub(r"^\s*#.*$", "", body, flags=re.MULTILINE).split(","):
            name, _, given = item.partition("=")
            if name.strip():
                last = value_of(given.strip(), found) if given else None if last is None else last + 1
                if last is not None:
                    found[name.strip()] = last
    for name, given in re.findall(r"^#define\s+(\w+)\s+(\S.*)$", text, re.MULTILINE):
        value = value_of(given.strip(), found)
        if value is not None:
            found.setdefault(name, value)


@pytest.fixture(scope="module")
def header() -> dict[str, int]:
    """What the headers of this machine say."""
    if not all((HEADERS / file).exists() for file in FILES):
        pytest.skip("the kernel's headers are not installed (linux-libc-dev)")
    found: dict[str, int] = {}
    for file in FILES:
        read(HEADERS / file, found)
    return found


def test_names_have_the_headers_numbers(header: dict[str, int]) -> None:
    """A message would say something else than it seems to, and whoever reads it with the header at hand be misled."""
    seen = set()
    for module in pkgutil.iter_modules(netlink.__path__):
        for name, value in vars(importlib.import_module(f"{netlink.__name__}.{module.name}")).items():
            if OURS.fullmatch(name) and isinstance(value, int) and name not in NOT_THERE:
                assert header.get(name) == value, name
                seen.add(name)
    assert len(seen) > 100


def test_types_of_messages_are_the_headers_commands(header: dict[str, int]) -> None:
    """A set would be deleted in place of being looked at."""
    for name, value in TYPES.items():
        assert value == SUBSYSTEMS[name[:3] if name[:3] in SUBSYSTEMS else name[:4]] << 8 | header[name], name


def test_a_trace_has_the_headers_names(header: dict[str, int]) -> None:
    """Who looks for a fault by NFA_DEBUG=netlink would look at the wrong attribute."""
    decoder = trace.Decoder()
    for prefix, names in decoder._groups.values():
        for number, (name, _) in enumerate(names, 1):
            assert name == "-" or header.get(prefix + name) == number, prefix + name
    for prefix, names in decoder._messages.values():
        for number, (name, _) in enumerate(names):
            assert header[prefix + name] == number, prefix + name
    for number, (name, _) in enumerate(trace.Decoder(True)._route, 16):
        assert name == "-" or header["RTM_" + name] == number, name
