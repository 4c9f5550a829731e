"""Against the running kernel: our sets equal the tools', and `Kernel` reads what the tools made."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from nfa.compiler.base.report import Reports
from nfa.compiler.config.model import Target
from nfa.compiler.provision import Kernel, KernelUnavailable, nftset, provision
from nfa.daemon.netlink.nftables_sets import NFT_SET_TIMEOUT
from nfa.daemon.netlink.question import Questions

pytestmark = pytest.mark.kernel
Run = Callable[[str], str]
Send = Callable[..., list[int]]
MakeTarget = Callable[..., Target]

KEYS = [
    ("local_mac",),
    ("other_addr",),
    ("local_port",),
    ("mark",),
    ("interface",),
    ("ip_proto",),
    ("other_addr", "ip_proto", "other_port", "local_addr"),
    ("mark", "interface"),
    ("interface", "mark", "local_mac", "other_mac", "ip_proto"),
    ("local_addr", "other_addr", "interface", "mark", "ip_proto"),
]


def slots_of(target: Target) -> tuple[list[dict[str, Any]], Reports]:
    reports = Reports()
    with Kernel() as kernel:
        return provision([target], kernel, reports), reports


def listed(run: Run, name: str) -> dict[str, Any]:
    """What `nft -j list set` says, without names and handles."""
    (found,) = (entry["set"] for entry in json.loads(run(f"nft -j list set inet t {name}"))["nftables"][1:])
    return {key: value for key, value in found.items() if key not in ("name", "handle")}


@pytest.mark.parametrize("ttl", [0, 120])
@pytest.mark.parametrize("fields", KEYS, ids=" ".join)
def test_nft_shows_our_set_as_its_own(
    namespace: Run, send: Send, target: MakeTarget, fields: tuple[str, ...], ttl: int
) -> None:
    """A rule that names our set must load, and elements must read as what they are."""
    slots, reports = slots_of(target("nftset", type=fields, ttl=ttl))
    assert not reports.items
    for slot in slots:
        assert send(*slot["create"], batch=True) == [0, 0]
        timeout = f"timeout {ttl}s;" if ttl else ""
        namespace(f"nft add set inet t theirs{slot['family']} '{{ type {slot['type']}; size 65536; {timeout} }}'")
        assert listed(namespace, slot["set"]) == listed(namespace, f"theirs{slot['family']}")


@pytest.mark.parametrize(
    ("fields", "element", "shown"),
    [
        (("mark",), "0x12", 18),
        (("interface",), "br-lan", "br-lan"),
        (("interface", "mark"), "br-lan . 0x12", {"concat": ["br-lan", 18]}),
        (("mark", "interface"), "0x12 . br-lan", {"concat": [18, "br-lan"]}),
    ],
    ids=str,
)
def test_nft_shows_host_order_fields_rightly(
    namespace: Run, send: Send, target: MakeTarget, fields: tuple[str, ...], element: str, shown: object
) -> None:
    """Without the key's byte order in USERDATA nft lists marks swapped and interfaces as nothing."""
    (slot,), _ = slots_of(target("nftset", type=fields, ttl=0, families=(4,)))
    send(*slot["create"], batch=True)
    namespace(f"nft add element inet t x.v4 '{{ {element} }}'")
    assert listed(namespace, "x.v4")["elem"] == [shown]


IPSETS = [
    ({"type": "hash:ip"}, "hash:ip family {family} hashsize 1024 maxelem 65536"),
    ({"type": "hash:ip", "size": 10}, "hash:ip family {family} hashsize 1024 maxelem 10"),
    ({"type": "hash:ip,port"}, "hash:ip,port family {family} hashsize 1024 maxelem 65536"),
    ({"type": "hash:ip,port,ip"}, "hash:ip,port,ip family {family} hashsize 1024 maxelem 65536"),
    ({"type": "hash:mac"}, "hash:mac hashsize 1024 maxelem 65536"),
    ({"type": "bitmap:ip", "range": (0x0A000003, 0x0A000020)}, "bitmap:ip range 10.0.0.3-10.0.0.32"),
    ({"type": "bitmap:port", "range": (0, 65535)}, "bitmap:port range 0-65535"),
    ({"type": "bitmap:port", "range": (1, 1024)}, "bitmap:port range 1-1024"),
]


@pytest.mark.parametrize("ttl", [0, 120])
@pytest.mark.parametrize(("options", "command"), IPSETS, ids=str)
def test_ipset_shows_our_set_as_its_own(
    namespace: Run, send: Send, target: MakeTarget, options: dict[str, Any], command: str, ttl: int
) -> None:
    """Users compare `ipset list` with Netify's documentation, and scripts parse it."""
    with Kernel() as kernel:
        if options["type"] == "hash:mac" and kernel.ipset_revisions("hash:mac", 0) is None:
            pytest.skip("this kernel has no hash:mac")
    slots, reports = slots_of(target("ipset", ttl=ttl, **options))
    assert not reports.items
    assert [slot["family"] for slot in slots] == ([4] if options["type"] == "bitmap:ip" else [4, 6])
    for slot in slots:
        assert send(*slot["create"]) == [0]
        family = "inet" if slot["family"] == 4 else "inet6"
        timeout = f"timeout {ttl}" if ttl else ""
        namespace(f"ipset create theirs{family} {command.format(family=family)} {timeout} skbinfo")
        ours, theirs = (
            re.sub("initval .*", "", namespace(f"ipset list -t {name}")).split("\n", 1)[1]
            for name in (slot["set"], f"theirs{family}")
        )
        assert ours == theirs


def test_managed_sets_are_made_once_and_survive_a_restart(namespace: Run, send: Send, target: MakeTarget) -> None:
    """The daemon sends the same messages at each start: elements of a set that is there stay."""
    for kind, add in (
        ("nftset", "nft add element inet t x.v4 '{ 1.2.3.4 }'"),
        ("ipset", "ipset add x.v4 1.2.3.4"),
    ):
        for _ in range(2):
            slots, reports = slots_of(target(kind))
            assert not reports.items
            for slot in slots:
                assert set(send(*slot["create"], batch=kind == "nftset")) == {0}
            if not slots[0]["note"]:
                continue
            namespace(add)
    assert "1.2.3.4" in namespace("nft list set inet t x.v4")
    assert "1.2.3.4" in namespace("ipset list x.v4")


def test_flush_and_destroy_work(namespace: Run, send: Send, target: MakeTarget) -> None:
    """flush_on_destroy leaves an empty set behind, deleting one leaves nothing but its table."""
    for kind, add, show in (
        ("nftset", "nft add element inet t x.v4 '{ 1.2.3.4 }'", "nft list ruleset"),
        ("ipset", "ipset add x.v4 1.2.3.4", "ipset list"),
    ):
        (slot,), _ = slots_of(target(kind, families=(4,)))
        batch = kind == "nftset"
        send(*slot["create"], batch=batch)
        namespace(add)
        assert send(slot["flush"], batch=batch) == [0]
        assert "x.v4" in namespace(show)
        assert "1.2.3.4" not in namespace(show)
        assert send(*slot["destroy"], batch=batch) == [0]
        assert "x.v4" not in namespace(show)


@pytest.mark.parametrize(
    ("kind", "made", "options"),
    [
        ("ipset", "ipset create x.v4 hash:ip timeout 60 counters maxelem 99", {}),
        (
            "ipset",
            "ipset create x.v4 bitmap:port range 1-9",
            {"type": "bitmap:port", "range": (1, 9), "ttl": 0},
        ),
        (
            "nftset",
            "nft add table inet t; nft add set inet t x.v4 '{ type ipv4_addr; timeout 60s; size 9; }'",
            {},
        ),
        (
            "nftset",
            "nft add table inet t; nft add set inet t x.v4 '{ type ipv4_addr; flags timeout, dynamic; }'",
            {},
        ),
    ],
    ids=str,
)
def test_create_accepts_an_existing_set_that_can_be_used(
    namespace: Run, send: Send, target: MakeTarget, kind: str, made: str, options: dict[str, Any]
) -> None:
    """After a changed ttl or size the old set, which rules may hold, goes on working with what it is."""
    namespace(made)
    (slot,), reports = slots_of(target(kind, families=(4,), **options))
    assert not reports.errors
    assert set(send(*slot["create"], batch=kind == "nftset")) == {0}


def test_kernel_reads_what_the_tools_made(namespace: Run) -> None:
    """What an unmanaged target's set can do decides how elements are added to it."""
    namespace("nft add table ip t; nft add set ip t a '{ type ipv4_addr . inet_service; size 9; timeout 90s; }'")
    namespace("nft add set ip t b '{ type ifname; flags timeout; }'; nft add set ip t c '{ type mark; }'")
    namespace("ipset create a hash:ip,port family inet6 timeout 60 skbinfo maxelem 7")
    namespace("ipset create b bitmap:port range 5-9; ipset create c bitmap:ip range 10.0.0.0/30 timeout 0")
    with Kernel() as kernel:
        found = kernel.nft_set(2, "t", "a")
        assert found is not None
        assert (nftset.type_text(found.key_type), found.key_length) == ("ipv4_addr . inet_service", 8)
        assert (found.timeout, found.size, found.flags) == (90, 9, NFT_SET_TIMEOUT)
        timeouts = [kernel.nft_set(2, "t", name) for name in "bc"]
        assert [one and (one.timeout, one.size, one.key_length) for one in timeouts] == [
            (0, 0, 16),
            (None, 0, 4),
        ]
        assert [kernel.nft_set(*where) for where in ((2, "t", "z"), (2, "z", "a"), (1, "t", "a"))] == [None] * 3
        ours = [kernel.ipset(name) for name in "abcz"]
    assert [one and (one.type, one.family, one.timeout, one.size, one.skbinfo, one.span) for one in ours] == [
        ("hash:ip,port", 10, 60, 7, True, None),
        ("bitmap:port", 0, None, 0, False, (5, 9)),
        ("bitmap:ip", 2, 0, 0, False, (0x0A000000, 0x0A000003)),
        None,
    ]


def test_kernel_tells_ipset_protocol_and_revisions(namespace: Run) -> None:
    """A protocol or revision that the kernel does not speak makes every ipset target fail."""
    with Kernel() as kernel:
        assert kernel.ipset_protocol() in (6, 7)
        revisions = kernel.ipset_revisions("hash:ip", 2)
        assert revisions is not None
        assert revisions[0] <= 4 <= revisions[1]
        assert kernel.ipset_revisions("hash:nonsense", 2) is None


WITHOUT_CAPABILITIES = """
import ctypes
from nfa.compiler.provision import Kernel, KernelUnavailable
assert ctypes.CDLL(None).unshare(0x10000000) == 0  # no power over the network
with Kernel() as kernel:
    for ask in (lambda: kernel.nft_set(1, "t", "x"), lambda: kernel.ipset("x"), kernel.ipset_protocol,
                lambda: kernel.ipset_revisions("hash:ip", 2)):
        try:
            ask()
        except KernelUnavailable as reason:
            print(reason)
"""


@pytest.mark.parametrize("what", [{"ttl": 77}, {"size": 5000}])
def test_what_is_said_of_changing_a_set_is_what_this_kernel_does(
    namespace: Run, send: Send, target: MakeTarget, what: dict[str, Any]
) -> None:
    """A check must change nothing, and whoever reads "the daemon changes the set" must find it changed."""
    first = target("nftset", families=(4,), ttl=50, size=1000)
    namespace("nft add table inet t; nft add set inet t x.v4 '{ type ipv4_addr; timeout 50s; size 1000; }'")
    before = namespace("nft list ruleset")
    first.options.update(what)
    (slot,), reports = slots_of(first)
    assert namespace("nft list ruleset") == before
    (said,) = reports.items
    send(*slot["create"], batch=True)
    found = listed(namespace, "x.v4")
    done = (found["timeout"], found["size"]) == (what.get("ttl", 50), what.get("size", 1000))
    assert ("daemon does that" in said.hint) == done and ("cannot change a set" in said.hint) != done


def test_no_permission_is_told_and_not_raised_as_something_else(namespace: Run) -> None:
    """`nfa check` as an ordinary user still checks everything but the kernel."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_CAPABILITIES],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["nfa needs CAP_NET_ADMIN: run it as root"] * 4
    assert not done.stderr


def test_reasons_without_kernel_modules_name_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """nfnetlink says EINVAL when a subsystem is missing, which no user could interpret."""

    def ask(*_: object) -> list[bytes]:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(Questions, "ask", ask)
    with pytest.raises(KernelUnavailable, match=r"no ipset .*ip_set"):
        Kernel().ipset("x")
    with pytest.raises(KernelUnavailable, match=r"no nftables .*nf_tables"):
        Kernel().nft_set(1, "t", "x")


def test_rules_of_a_large_table_are_all_read(namespace: Run) -> None:
    """A dump comes in many datagrams: what lies in the last would be missed, and the set be deleted under its rule."""
    rules = "".join(f"add rule inet t c tcp dport {number}\n" for number in range(1, 601))
    namespace("nft add table inet t; nft add chain inet t c; nft add set inet t x '{ type ipv4_addr; flags dynamic; }'")
    namespace(
        "nft add table ip t; nft add chain ip t c; nft add set ip t x '{ type ipv4_addr; }'; nft add rule ip t c ip daddr @x"
    )
    namespace(f"nft -f - <<'E'\n{rules}add rule inet t c ip daddr @x\nadd rule inet t c update @x {{ ip saddr }}\nE\n")
    with Kernel() as kernel:
        found = kernel.nft_rules(1, "t", "x")
        assert [chain for chain, _ in found] == ["c", "c"]
        assert f"@x # handle {found[0][1]}" in namespace("nft -a list chain inet t c")
        assert kernel.nft_rules(1, "t", "y") == []
