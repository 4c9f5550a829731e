"""Which slots come of which targets and sets, and what the user is told."""

from __future__ import annotations

import marshal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from nfa.compiler.base.report import Reports
from nfa.compiler.config.model import Target
from nfa.compiler.provision import KernelUnavailable, nftset, provision
from nfa.compiler.provision.kernel import IpSet, NftSet
from nfa.daemon.netlink.nftables_sets import (
    NFT_SET_CONCAT,
    NFT_SET_CONSTANT,
    NFT_SET_INTERVAL,
    NFT_SET_MAP,
    NFT_SET_TIMEOUT,
)

MakeTarget = Callable[..., Target]
Slots = list[dict[str, Any]]


@dataclass
class FakeKernel:
    """A kernel that holds these sets; with `reason` it refuses to be asked."""

    sets: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    rules: list[tuple[str, int]] = field(default_factory=list)
    changes: bool = True
    protocol: int = 7
    types: tuple[str, ...] = (
        "hash:ip",
        "hash:ip,port",
        "hash:ip,port,ip",
        "hash:mac",
        "bitmap:ip",
        "bitmap:port",
    )

    def _answer(self, answer: Any) -> Any:
        if self.reason:
            raise KernelUnavailable(self.reason)
        return answer

    def nft_set(self, table_family: int, table: str, name: str) -> Any:
        return self._answer(self.sets.get(name))

    def nft_rules(self, table_family: int, table: str, name: str) -> Any:
        return self._answer(self.rules)

    def nft_changes(self, wanted: Any, strange: Any) -> Any:
        assert wanted != strange
        return self._answer(self.changes)

    def ipset(self, name: str) -> Any:
        return self._answer(self.sets.get(name))

    def ipset_protocol(self) -> Any:
        return self._answer(self.protocol)

    def ipset_revisions(self, set_type: str, family: int) -> Any:
        return self._answer((0, 9) if set_type in self.types else None)


def nft(type_: tuple[str, ...] = ("other_addr",), family: int = 4, **changed: Any) -> NftSet:
    key = nftset.key_of(type_, family)
    flags = NFT_SET_TIMEOUT if changed.get("timeout", 120) is not None else 0
    return NftSet(**{"key_type": key.number, "key_length": key.length, "flags": flags, "timeout": 120, "size": 0} | changed)


def ips(**changed: Any) -> IpSet:
    return IpSet(**{"type": "hash:ip", "family": 2, "timeout": 120, "size": 65536, "flags": 64, "span": None} | changed)


def run(target: Target, *, kernel: FakeKernel | None = None) -> tuple[Slots, list[str]]:
    """Slots, and the texts of all reports without the place."""
    reports = Reports()
    slots = provision([target], kernel, reports)  # type: ignore[arg-type]
    assert marshal.loads(marshal.dumps(slots)) == slots
    assert all(str(report.place) == "nfa.json:7:5" for report in reports.items)
    return slots, [report.text().removeprefix("nfa.json:7:5: ") for report in reports.items]


def test_a_slot_for_each_family(target: MakeTarget) -> None:
    """Each family needs its own set, named as Netify names them."""
    slots, texts = run(target("nftset", type=("other_addr", "ip_proto", "other_port", "local_addr")))
    assert not texts
    assert [(slot["set"], slot["family"], slot["type"]) for slot in slots] == [
        ("x.v4", 4, "ipv4_addr . inet_proto . inet_service . ipv4_addr"),
        ("x.v6", 6, "ipv6_addr . inet_proto . inet_service . ipv6_addr"),
    ]
    first = {key: value for key, value in slots[0].items() if not isinstance(value, bytes)}
    assert len(first.pop("create")) == 2
    assert len(first.pop("destroy")) == 1
    assert first == {
        "target": "nftset.x", "kind": "nftset", "family": 4, "set": "x.v4", "table": "t", "table_family": 1,
        "managed": True, "ttl": 120, "element_timeout": False, "timeouts": True,
        "fields": ("other_addr", "ip_proto", "other_port", "local_addr"),
        "type": "ipv4_addr . inet_proto . inet_service . ipv4_addr", "size": 65536, "range": None,
        "skb": None, "protocol": 0, "replace": False, "flush_on_create": True, "flush_on_destroy": False,
        "rule": "", "note": "not looked up in the kernel",
    }  # fmt: skip


def test_suffix_stays_with_one_family(target: MakeTarget) -> None:
    """Rules written for Netify name x.v6 whatever other families the target has."""
    assert [slot["set"] for slot in run(target("ipset", families=(6,)))[0]] == ["x.v6"]


@pytest.mark.parametrize("kind", ["ipset", "nftset"])
def test_disabled_targets_need_nothing(target: MakeTarget, kind: str) -> None:
    """A disabled target must not make sets nor warn about missing ones."""
    assert run(target(kind, enabled=False, managed=False), kernel=FakeKernel()) == ([], [])


@pytest.mark.parametrize(
    ("set_type", "address_type", "fields"),
    [
        ("hash:ip", "other", ("other_addr",)),
        ("hash:ip", "local", ("local_addr",)),
        ("hash:ip,port", "local", ("other_addr", "ip_proto", "other_port")),
        ("hash:ip,port,ip", "other", ("other_addr", "ip_proto", "other_port", "local_addr")),
        ("hash:mac", "other", ("local_mac",)),
        ("bitmap:port", "other", ("other_port",)),
    ],
)
def test_fields_of_ipset_types(target: MakeTarget, set_type: str, address_type: str, fields: tuple[str, ...]) -> None:
    """The documented rules match dst,dst,src, and 'family' makes two sets even of types without one."""
    slots, _ = run(target("ipset", type=set_type, address_type=address_type))
    assert [(slot["set"], slot["fields"]) for slot in slots] == [("x.v4", fields), ("x.v6", fields)]


def test_bitmap_ip_is_ipv4_only(target: MakeTarget) -> None:
    """Asking for IPv6 alone would silently do nothing; '*' just means what there is."""
    span = (0x0A000000, 0x0A0000FF)
    slots, texts = run(target("ipset", type="bitmap:ip", range=span))
    assert [slot["family"] for slot in slots] == [4]
    assert slots[0]["range"] == span
    assert not texts
    assert run(target("ipset", type="bitmap:ip", range=span, families=(6,))) == (
        [],
        ["warning: target 'ipset.x': bitmap:ip is for IPv4 addresses only. Use hash:ip for IPv6. The target does nothing"],
    )


def test_skb_options_are_those_given(target: MakeTarget) -> None:
    """A mask alone means nothing; 0 is a value."""
    for given, wanted in (
        ({}, None),
        ({"skb_mark": 0x10}, {"mark": 0x10, "mask": 0xFFFFFFFF}),
        ({"skb_queue": 0, "skb_prio": 0x10001}, {"queue": 0, "prio": 0x10001}),
    ):
        assert run(target("ipset", families=(4,), **given))[0][0]["skb"] == wanted


def test_six_fields_are_an_error(target: MakeTarget) -> None:
    """nft cannot list such a set."""
    slots, texts = run(target("nftset", families=(4,), type=("mark",) * 6))
    assert not slots
    assert texts[0].startswith("error: target 'nftset.x': a set's key has at most 5 fields, not 6.")


def test_targets_may_share_a_set_but_not_disagree_about_it(target: MakeTarget) -> None:
    """One refused message (EEXIST) would abort the whole batch that makes every target's set."""
    reports = Reports()
    same = [target("nftset", families=(4,)), target("nftset", families=(4,)), target("ipset", families=(4,))]
    assert len(provision(same, None, reports)) == 3
    assert not reports.items
    for other in (target("nftset", families=(4,), size=5), target("nftset", families=(4,), type=("mark",))):
        assert len(provision([*same, other], None, reports)) == 3
    *_, shorter = provision([*same, target("nftset", families=(4,), ttl=5)], None, reports)
    assert (shorter["create"], shorter["element_timeout"]) == (provision(same, None, reports)[0]["create"], True)
    assert "needs a different kind of set 'x.v4' than target 'nftset.x'" in reports.errors[0].text()
    assert len(provision([same[0], target("nftset", table_name="u", ttl=5)], None, reports)) == 3
    assert len(reports.items) == 2


def test_missing_unmanaged_sets_come_with_the_command(target: MakeTarget) -> None:
    """Whoever sets managed to 0 has to make the set; the target works as soon as it is there."""
    slots, texts = run(target("nftset", families=(6,), managed=False), kernel=FakeKernel())
    assert texts == [
        "warning: set 'x.v6' does not exist. Create it with: nft add table inet t; "
        "nft add set inet t x.v6 '{ type ipv6_addr; flags timeout; }'. The target does nothing until then"
    ]
    (slot,) = slots
    assert (slot["managed"], slot["create"], slot["set"]) == (False, (), "x.v6")
    assert (slot["timeouts"], slot["element_timeout"], slot["note"]) == (True, True, "was not in the kernel")
    (slot,), texts = run(target("ipset", families=(4,), managed=False, skb_queue=1, ttl=9), kernel=FakeKernel())
    assert "Create it with: ipset create x.v4 hash:ip family inet timeout 9 skbinfo. " in texts[0]
    assert (slot["skb"], slot["create"]) == ({"queue": 1}, ())


def test_a_set_of_the_plain_name_is_taken(target: MakeTarget) -> None:
    """fw4 and most users name their own sets without a suffix; only the family that fits may use it."""
    slots, texts = run(target("nftset", managed=False), kernel=FakeKernel({"x": nft()}))
    assert [slot["set"] for slot in slots] == ["x", "x.v6"]
    assert [text.split(".")[0] for text in texts] == ["warning: set 'x"]
    assert "x.v6' does not exist" in texts[0]
    slots, texts = run(
        target("ipset", managed=False, type="bitmap:port", range=(0, 65535)),
        kernel=FakeKernel({"x": ips(type="bitmap:port", family=0, size=0, span=(1, 9))}),
    )
    assert [(slot["set"], slot["range"]) for slot in slots] == [("x", (1, 9))] * 2
    assert not texts


def test_another_key_is_an_error(target: MakeTarget) -> None:
    """Elements of another kind would all be refused; both kinds are named, and the way out."""
    slots, texts = run(target("nftset", families=(4,), managed=False), kernel=FakeKernel({"x.v4": nft(("mark",))}))
    assert not slots
    way_out = "Delete the rules that use it, then the set: nft delete set inet t x.v4; then create one with: nft add table inet"
    assert "error: target 'nftset.x': set 'x.v4' contains mark (4 bytes), not ipv4_addr. " + way_out in texts[0]
    slots, texts = run(target("ipset", families=(4,), managed=False), kernel=FakeKernel({"x.v4": ips(family=10)}))
    assert not slots
    assert "set 'x.v4' is IPv6 hash:ip, not IPv4 hash:ip. Delete the rules that use it, then the set: " in texts[0]
    assert "ipset destroy x.v4; then create one with: ipset create x.v4 hash:ip family" in texts[0]


@pytest.mark.parametrize(
    ("kind", "there", "problem"),
    [
        ("nftset", nft(("mark",)), "contains mark (4 bytes), not ipv4_addr"),
        ("nftset", nft(timeout=None), "was created without timeouts, but ttl is 120 seconds"),
        ("nftset", nft(flags=NFT_SET_MAP), "is of the kind map, which cannot contain single elements"),
        ("ipset", ips(family=10), "is IPv6 hash:ip, not IPv4 hash:ip"),
        ("ipset", ips(timeout=None), "was created without timeouts, but ttl is 120 seconds"),
    ],
    ids=str,
)
def test_a_managed_set_of_another_type_is_replaced(target: MakeTarget, kind: str, there: Any, problem: str) -> None:
    """After a changed type somebody would have to delete the set by hand. What there is of the old one must not count."""
    (slot,), texts = run(target(kind, families=(4,)), kernel=FakeKernel({"x.v4": there}))
    assert texts == [f"info: set 'x.v4' {problem}. Nothing uses it, so the daemon replaces it. Its elements are lost"]
    (wanted,), _ = run(target(kind, families=(4,)), kernel=FakeKernel())
    assert slot == wanted | {"replace": True, "note": ""}


def test_a_managed_set_of_another_type_that_is_in_use_is_an_error(target: MakeTarget) -> None:
    """The kernel says "busy", which names neither the set nor the rule that is in the way."""
    there = FakeKernel({"x.v4": nft(("mark",))}, rules=[("forward", 7), ("my chain", 9), ("forward", 8), ("forward", 10)])
    (slot,), (text,) = run(target("nftset", families=(4,)), kernel=there)
    assert slot["replace"], "the daemon tries again until it can"
    assert text == (
        "error: target 'nftset.x': set 'x.v4' contains mark (4 bytes), not ipv4_addr, and is used by rules in the chains "
        "'forward', 'my chain'. Delete the rules: nft delete rule inet t forward handle 7; nft delete rule inet t 'my chain' "
        "handle 9; nft delete rule inet t forward handle 8 and 1 more. Until then the target does nothing for this address "
        "family; then the daemon replaces the set"
    )
    (slot,), (text,) = run(target("ipset", families=(4,)), kernel=FakeKernel({"x.v4": ips(family=10, uses=2)}))
    assert slot["replace"]
    assert "is IPv6 hash:ip, not IPv4 hash:ip, and is used by 2 references (iptables rules, tc filters" in text
    assert "grep -w x.v4" in text


def test_the_set_of_an_unmanaged_target_is_not_replaced_for_another(target: MakeTarget) -> None:
    """A set that the administrator made, and names in another target, is his."""
    reports = Reports()
    kernel: Any = FakeKernel({"x.v4": nft(("mark",))})
    targets = [target("nftset", families=(4,), managed=False, type=("mark",)), target("nftset", families=(4,))]
    for order in (targets, targets[::-1]):
        assert [(slot["managed"], slot["replace"]) for slot in provision(order, kernel, reports)] == [(False, False)]
    assert "Delete the rules that use it, then the set" in reports.errors[0].text()


def test_maps_and_constant_sets_are_an_error(target: MakeTarget) -> None:
    """They take no element; sets of ranges do, as fw4 makes them: the daemon's elements are ranges then."""
    for flags in (NFT_SET_MAP, NFT_SET_CONSTANT):
        slots, texts = run(
            target("nftset", families=(4,), managed=False),
            kernel=FakeKernel({"x.v4": nft(flags=flags)}),
        )
        assert not slots
        assert "which cannot contain single elements" in texts[0]
    for flags in (NFT_SET_INTERVAL, NFT_SET_INTERVAL | NFT_SET_CONCAT):
        ranges = nft(flags=flags | NFT_SET_TIMEOUT)
        slots, texts = run(target("nftset", families=(4,), managed=False), kernel=FakeKernel({"x.v4": ranges}))
        assert slots and not texts


@pytest.mark.parametrize(
    ("default", "ttl", "timeouts", "element_timeout"),
    [(120, 120, True, False), (60, 120, True, True), (0, 120, True, True), (60, 0, True, True),
     (0, 0, True, False), (None, 0, False, False), (None, 120, False, False)],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["ipset", "nftset"])
def test_elements_carry_a_timeout_when_the_sets_differs(
    target: MakeTarget, kind: str, default: int | None, ttl: int, timeouts: bool, element_timeout: bool
) -> None:
    """ttl holds for every element, whatever the default of the user's set is."""
    sets = {"x.v4": nft(timeout=default) if kind == "nftset" else ips(timeout=default)}
    (slot,), texts = run(target(kind, families=(4,), managed=False, ttl=ttl), kernel=FakeKernel(sets))
    assert (slot["timeouts"], slot["element_timeout"]) == (timeouts, element_timeout)
    assert len(texts) == (default is None and ttl > 0)
    assert all("elements stay until the set is flushed" in text.lower() for text in texts)


@pytest.mark.parametrize(("kind", "changes"), [("ipset", False), ("nftset", True), ("nftset", False)])
def test_managed_set_with_another_timeout_or_size_goes_on(target: MakeTarget, kind: str, changes: bool) -> None:
    """After a changed ttl the set may be held by rules and cannot be deleted: its elements make up for it.

    What is said is about the kernel that runs here: "6.18 can" helps nobody who has 5.15.
    """
    sets = {"x.v4": nft(timeout=60, size=10) if kind == "nftset" else ips(timeout=60, size=10)}
    (slot,), texts = run(target(kind, families=(4,)), kernel=FakeKernel(sets, changes=changes))
    assert slot["element_timeout"]
    if changes:
        way_out = "This kernel can change a set: the daemon does that when the policy becomes active"
    else:
        delete = "ipset destroy x.v4" if kind == "ipset" else "nft delete set inet t x.v4"
        way_out = f"This kernel cannot change a set: to change it, delete the rules that use it, then the set: {delete}"
    severity = "info" if changes else "warning"
    own = "Each element gets its own timeout of 120 seconds"
    assert texts == [
        f"{severity}: set 'x.v4' has a timeout of 60 seconds, but ttl is 120. {way_out}. {own}",
        f"{severity}: set 'x.v4' has room for 10 elements, but size is 65536. {way_out}. Until then, the old size applies",
    ]


def test_managed_bitmap_with_another_range_is_replaced(target: MakeTarget) -> None:
    """Addresses outside of the old range could never be added."""
    sets = {"x.v4": ips(type="bitmap:port", family=0, size=0, span=(1, 9))}
    slots, texts = run(target("ipset", type="bitmap:port", range=(0, 65535), families=(4,)), kernel=FakeKernel(sets))
    assert slots[0]["replace"] and slots[0]["range"] == (0, 65535)
    assert "has the range 1-9, not 0-65535" in texts[0]


def test_skb_without_skbinfo_is_left_out(target: MakeTarget) -> None:
    """A set without skbinfo refuses elements with skb attributes: better the elements alone than nothing."""
    (slot,), texts = run(target("ipset", families=(4,), managed=False, skb_mark=1), kernel=FakeKernel({"x.v4": ips(flags=0)}))
    assert slot["skb"] is None
    assert "was created without skbinfo" in texts[0]


def test_types_the_kernel_lacks_are_an_error(target: MakeTarget) -> None:
    """The kernel's answer to CREATE is a number (4098) only."""
    slots, texts = run(target("ipset", type="hash:mac", families=(4,)), kernel=FakeKernel(types=()))
    assert not slots
    assert "this kernel has no ipset type hash:mac. Install the kernel module ip_set_hash_mac" in texts[0]


@pytest.mark.parametrize("managed", [False, True])
def test_without_permission_one_warning_and_all_slots(target: MakeTarget, managed: bool) -> None:
    """`nfa check` as a user must not repeat the same sentence for each set, nor call sets missing."""
    for kind in ("ipset", "nftset"):
        slots, texts = run(target(kind, managed=managed), kernel=FakeKernel(reason="needs CAP_NET_ADMIN"))
        assert len(slots) == 2
        assert all(slot["note"] == "not looked up in the kernel" for slot in slots)
        assert texts == ["warning: cannot query the kernel: needs CAP_NET_ADMIN. Sets are assumed to be as configured"]


def test_protocol_is_the_kernels(target: MakeTarget) -> None:
    """Kernels before 4.20 speak ipset protocol 6 and refuse 7."""
    (slot,), _ = run(target("ipset", families=(4,)), kernel=FakeKernel(protocol=6))
    assert slot["protocol"] == 6
    protocol = b"\x05\x00\x01\x00\x06"
    assert all(protocol in message for message in (*slot["create"], slot["flush"], *slot["destroy"]))
