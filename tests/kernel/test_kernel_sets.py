"""Every kind of set: an element of the wrong form, or in the wrong set, is a rule that never matches."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from kernel_lab import Lab, Namespace, eventually, ipset, nftset, policy
from samples import as_v5, flow, stats

pytestmark = pytest.mark.kernel

V4 = flow(local="192.168.1.20", local_port=50001, other="203.0.113.10", other_port=443)
V6 = flow(local="2001:db8:1::20", local_port=50002, other="2001:db8:ffff::10", other_port=53, ip_protocol=17)


def test_each_ipset_type_holds_what_its_rules_look_up(lab: Lab) -> None:
    """A set of another key than the type says matches other packets than the policy means."""
    lab.start(
        policy(
            {
                "other": ipset("other"),
                "short": ipset("short", "ip", interface="br-lan"),
                "local": ipset("local", "hash:ip", address_type="local"),
                "port": ipset("port", "hash:ip,port"),
                "three": ipset("three", "ip,port,ip"),
                "map": ipset("map", "bitmap:ip", range="203.0.113.0/24"),
                "ports": ipset("ports", "bitmap:port", range="1-1023"),
            }
        )
    )
    outside = flow(local="192.168.1.21", other="198.51.100.1", other_port=8080)
    lab.feed(V4, V6, outside)
    sets = lab.namespace.ipsets()
    assert {name: (made.type, made.keys) for name, made in sets.items()} == {
        "other.v4": ("hash:ip", {"203.0.113.10", "198.51.100.1"}),
        "other.v6": ("hash:ip", {"2001:db8:ffff::10"}),
        "short.v4": ("hash:ip", {"203.0.113.10", "198.51.100.1"}),
        "short.v6": ("hash:ip", {"2001:db8:ffff::10"}),
        "local.v4": ("hash:ip", {"192.168.1.20", "192.168.1.21"}),
        "local.v6": ("hash:ip", {"2001:db8:1::20"}),
        "port.v4": ("hash:ip,port", {"203.0.113.10,tcp:443", "198.51.100.1,tcp:8080"}),
        "port.v6": ("hash:ip,port", {"2001:db8:ffff::10,udp:53"}),
        "three.v4": ("hash:ip,port,ip", {"203.0.113.10,tcp:443,192.168.1.20", "198.51.100.1,tcp:8080,192.168.1.21"}),
        "three.v6": ("hash:ip,port,ip", {"2001:db8:ffff::10,udp:53,2001:db8:1::20"}),
        "map.v4": ("bitmap:ip", {"203.0.113.10"}),
        "ports.v4": ("bitmap:port", {"443"}),
        "ports.v6": ("bitmap:port", {"53"}),
    }
    families = {name: made.options.get("family") for name, made in sets.items() if made.type.startswith("hash")}
    assert families == {name: "inet6" if name.endswith("6") else "inet" for name in families}
    targets = lab.daemon.status()["targets"]
    assert (targets["map"]["skipped"], targets["map"]["errors"]) == (1, 0), "outside its range is no error"
    assert (targets["ports"]["skipped"], targets["ports"]["errors"]) == (1, 0)
    assert targets["three"]["added"] == targets["three"]["elements"] == 3


def test_hash_mac_holds_the_local_mac(lab: Lab) -> None:
    """A rule on a device's MAC address needs the local one, not the router's."""
    if lab.namespace.attempt("ipset", "create", "probe", "hash:mac").returncode:
        pytest.skip("this kernel has no ipset type hash:mac")
    lab.start(policy({"mac": ipset("mac", "hash:mac")}))
    lab.feed(V4)
    assert lab.namespace.ipset("mac.v4").keys == {V4["flow"]["local_mac"].upper()}


def test_a_type_that_the_kernel_lacks_is_told_and_harms_nobody(lab: Lab) -> None:
    """One kernel module that is not installed must not stop the whole policy."""
    if lab.namespace.attempt("ipset", "create", "probe", "hash:mac").returncode == 0:
        pytest.skip("this kernel has hash:mac")
    lab.start(policy({"mac": ipset("mac", "hash:mac", set_family="ipv4"), "good": ipset("good")}))
    lab.feed(V4)
    assert lab.namespace.ipset("good.v4").keys == {"203.0.113.10"}
    assert len(lab.daemon.said("hash:mac", "module")) == 1, lab.daemon.log


def test_ipset_elements_carry_the_skb_options(lab: Lab) -> None:
    """Without them `SET --map-set` puts no mark, class or queue on a packet."""
    full: dict[str, Any] = {"skb_mark": "0x85", "skb_mask": "0xff", "skb_prio": "1:10", "skb_queue": 3}
    lab.start(policy({"full": ipset("full", **full), "mark": ipset("mark", skb_mark="0x10"), "none": ipset("none")}))
    lab.feed(V4, V6)
    sets = lab.namespace.ipsets()
    for name, key in (("v4", "203.0.113.10"), ("v6", "2001:db8:ffff::10")):
        full_options = sets[f"full.{name}"].elements[key]
        assert full_options | {"timeout": ""} == {
            "timeout": "", "skbmark": "0x85/0xff", "skbprio": "1:10", "skbqueue": "3",
        }  # fmt: skip
        assert sets[f"mark.{name}"].elements[key]["skbmark"] in ("0x10", "0x10/0xffffffff")
        assert set(sets[f"none.{name}"].elements[key]) == {"timeout"}


FIELDS = {
    "local_addr": ("{ip}_addr", "{local_ip}"), "other_addr": ("{ip}_addr", "{other_ip}"),
    "local_mac": ("ether_addr", "{local_mac}"), "other_mac": ("ether_addr", "{other_mac}"),
    "local_port": ("inet_service", "{local_port}"), "other_port": ("inet_service", "{other_port}"),
    "ip_proto": ("inet_proto", "{ip_protocol}"), "mark": ("mark", "{mark}"), "interface": ("ifname", "{interface}"),
}  # fmt: skip
CONCATENATIONS = (
    ("interface", "other_addr"),
    ("other_port", "local_mac", "mark"),
    ("mark", "interface", "ip_proto", "other_mac", "local_port"),
    ("other_addr", "local_addr", "other_port"),
    ("ip_proto", "other_addr", "local_mac"),
    ("local_port", "mark", "local_addr"),
    ("other_mac", "interface"),
    ("local_addr", "ip_proto", "other_port", "other_addr"),
)


def test_each_nft_field_alone_and_in_odd_orders(lab: Lab) -> None:
    """A field in another place, padding or byte order than nft's own makes rules that silently never match."""
    types = [(name,) for name in FIELDS] + list(CONCATENATIONS)
    lab.start(policy({f"t{number}": nftset(f"s{number}", *fields) for number, fields in enumerate(types)}))
    records = [
        as_v5(V4, conntrack={"id": 7, "mark": 0x12345678}),
        flow(local="2001:db8:1::20", local_port=50002, other="2001:db8:ffff::10", other_port=53, ip_protocol=17,
             interface="lan-very-long0", ct_mark=0x90),
    ]  # fmt: skip
    lab.feed(*records)
    sets = lab.namespace.nft_sets()
    assert len(sets) == 2 * len(types)
    for number, fields in enumerate(types):
        for version, record in ((4, records[0]), (6, records[1])):
            mark = record["flow"].get("ct_mark", 0x12345678)
            known = record["flow"] | {"ip": f"ipv{version}", "interface": record["interface"], "mark": mark}
            made = sets[f"nfa s{number}.v{version}"]
            assert made.type == " . ".join(FIELDS[name][0].format(**known) for name in fields)
            wanted = tuple(FIELDS[name][1].format(**known) for name in fields)
            found = {tuple(map(_number, key, fields)) for key in made.keys}
            assert found == {wanted}, fields


def _number(text: str, name: str) -> str:
    """nft's JSON names protocols, and depending on its version writes marks in hexadecimal."""
    if name == "ip_proto":
        return {"tcp": "6", "udp": "17"}.get(text, text)
    return str(int(text, 0)) if name == "mark" else text


def test_elements_match_packets_that_the_kernel_classifies(lab: Lab) -> None:
    """The proof of key layout that no listing gives: a packet with the element's addresses and port hits the rule."""
    run = lab.namespace.run
    run("ip", "link", "add", "ext0", "type", "veth", "peer", "name", "ext1")
    for card in ("ext0", "ext1"):
        run("ip", "link", "set", card, "up")
    run("ip", "addr", "add", "198.51.100.1/24", "dev", "ext0")
    run("ip", "route", "add", "default", "dev", "ext0")
    fields = ("interface", "other_addr", "ip_proto", "other_port")
    lab.start(policy({"t": nftset("s", *fields), "u": nftset("m", "mark", "other_addr")}))
    lab.feed(flow(other="203.0.113.10", other_port=4444, ip_protocol=17, interface="ext0", ct_mark=0x1234))
    lab.namespace.nft(
        "add chain inet nfa out { type filter hook output priority 0; }",
        'add rule inet nfa out oifname . ip daddr . meta l4proto . udp dport @s.v4 counter comment "interface"',
        "add rule inet nfa out meta mark set 0x1234",
        'add rule inet nfa out udp dport 4444 meta mark . ip daddr @m.v4 counter comment "mark"',
    )
    packet = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('203.0.113.10', 4444))"
    run(sys.executable, "-c", packet)
    listed = run("nft", "list", "chain", "inet", "nfa", "out")
    assert "packets 1" in next(line for line in listed.splitlines() if '"interface"' in line), listed
    assert "packets 1" in next(line for line in listed.splitlines() if '"mark"' in line), listed


@pytest.mark.parametrize(("family", "there"), [("ipv4", {"v4"}), ("ipv6", {"v6"}), ("*", {"v4", "v6"})])
def test_set_family_makes_only_the_sets_asked_for(lab: Lab, family: str, there: set[str]) -> None:
    """A set too many, or too few, of an address family."""
    lab.start(policy({"n": nftset("n", "other_addr", set_family=family), "i": ipset("i", set_family=family)}))
    status = lab.feed(V4, V6)
    assert set(lab.namespace.nft_sets()) == {f"nfa n.{version}" for version in there}
    assert set(lab.namespace.ipsets()) == {f"i.{version}" for version in there}
    assert {name: target["elements"] for name, target in status["targets"].items()} == {"n": len(there), "i": len(there)}


def test_ttl_0_and_sizes(lab: Lab) -> None:
    """ttl 0 is for ever; size and its documented other name max_elements bound the set."""
    four = {"set_family": "ipv4"}
    lab.start(
        policy(
            {
                "n": nftset("n", "other_addr", ttl=0, size=1234),
                "i": ipset("i", ttl=0, max_elements=4321),
                "t": nftset("t", "other_addr", ttl=777, max_elements=99, table_name="mine", table_family="ip", **four),
            }
        )
    )
    lab.feed(V4)
    sets, ipsets = lab.namespace.nft_sets(), lab.namespace.ipsets()
    assert "timeout" not in sets["nfa n.v4"].options and sets["nfa n.v4"].options["size"] == "1234"
    assert sets["nfa n.v4"].elements == {("203.0.113.10",): {}}
    assert "timeout" not in ipsets["i.v4"].options and ipsets["i.v4"].options["maxelem"] == "4321"
    assert ipsets["i.v4"].elements == {"203.0.113.10": {}}
    mine = sets["mine t.v4"].options
    assert (mine["timeout"], mine["size"], mine["family"]) == ("777", "99", "ip")
    assert 500 <= sets["mine t.v4"].left(("203.0.113.10",)) <= 777


def _earlier(namespace: Namespace) -> None:
    """Sets as an earlier life of the daemon left them, each with an element that ends sooner and one that does not."""
    namespace.nft("add table inet nfa")
    for name in ("keep.v4", "flush.v4"):
        namespace.nft(
            f"add set inet nfa {name} {{ type ipv4_addr; size 65536; timeout 1000s; }}",
            f"add element inet nfa {name} {{ 192.0.2.1, 203.0.113.10 expires 400s }}",
        )
    for name in ("ikeep", "iflush"):
        namespace.run("ipset", "create", f"{name}.v4", "hash:ip", "timeout", "1000", "maxelem", "65536", "skbinfo")
        namespace.run("ipset", "add", f"{name}.v4", "192.0.2.1")
        namespace.run("ipset", "add", f"{name}.v4", "203.0.113.10", "timeout", "400")


def test_flush_on_create_and_on_destroy(lab: Lab) -> None:
    """What a set held before is kept or dropped as configured; a kept element of a live flow gets its full life again. When the
    daemon ends, none of it has an effect any longer."""
    _earlier(lab.namespace)
    ends: dict[str, Any] = {"set_family": "ipv4", "ttl": 1000}
    daemon = lab.start(
        policy(
            {
                "keep": nftset("keep", "other_addr", **ends),
                "flush": nftset("flush", "other_addr", flush_on_create=True, flush_on_destroy=True, **ends),
                "ikeep": ipset("ikeep", **ends),
                "iflush": ipset("iflush", flush_on_create=True, flush_on_destroy=True, **ends),
            }
        )
    )

    def held() -> list[set[str]]:
        sets = lab.namespace.nft_sets()
        nft = [{key[0] for key in sets[f"nfa {name}.v4"].keys} for name in ("keep", "flush")]
        ipsets = lab.namespace.ipsets()
        return [*nft, ipsets["ikeep.v4"].keys, ipsets["iflush.v4"].keys]

    assert held() == [{"192.0.2.1", "203.0.113.10"}, set()] * 2
    lab.feed(V4)
    both = {"192.0.2.1", "203.0.113.10"}
    assert held() == [both, {"203.0.113.10"}] * 2
    assert lab.namespace.nft_set("nfa keep.v4").left(("203.0.113.10",)) > 500
    assert lab.namespace.ipset("ikeep.v4").left("203.0.113.10") > 500
    assert daemon.stop() == 0
    assert held() == [set(), set()] * 2


def test_a_deleted_set_comes_back_with_the_flows_that_live(lab: Lab) -> None:
    """A firewall reload deletes a table: the sets of a running daemon must not stay away until it is restarted."""
    lab.start(policy({"n": nftset("n", "other_addr", set_family="ipv4"), "i": ipset("i", set_family="ipv4")}))
    lab.feed(V4)
    lab.namespace.run("nft", "delete", "table", "inet", "nfa")
    lab.namespace.run("ipset", "destroy", "i.v4")
    news = [flow(other=f"198.51.100.{number}") for number in range(1, 200)]

    def back() -> bool:
        lab.feed(news.pop(), stats(V4["flow"]["digest"]))
        there = lab.namespace.nft_set("nfa n.v4").keys, lab.namespace.ipset("i.v4").keys
        return ("203.0.113.10",) in there[0] and "203.0.113.10" in there[1]

    eventually(back, what="the set is there again, with its live flow")


@pytest.mark.parametrize("managed", [True, False])
@pytest.mark.parametrize("table", ["inet", "ip", "ip6", "arp", "bridge", "netdev"])
def test_a_table_of_each_family_has_the_sets_that_its_rules_can_use(lab: Lab, table: str, managed: bool) -> None:
    """A set for IPv6 in a table of IPv4 was made and filled, and no rule could use it."""
    options: dict[str, Any] = {"table_family": table, "managed": managed}
    kinds = {"ip": ["v4"], "arp": ["v4"], "ip6": ["v6"]}.get(table, ["v4", "v6"])
    if not managed:
        words = {"v4": "ipv4_addr", "v6": "ipv6_addr"}
        made = [f"add set {table} nfa x.{kind} {{ type {words[kind]}; flags timeout; }}" for kind in kinds]
        lab.namespace.nft(f"add table {table} nfa", *made)
    lab.start(policy({"n": nftset("x", "other_addr", **options)}))
    status = lab.feed(V4, V6)
    sets = lab.namespace.nft_sets()
    assert set(sets) == {f"nfa x.{kind}" for kind in kinds}
    assert all(len(one.keys) == 1 for one in sets.values())
    assert [one["name"] for one in status["targets"]["n"]["sets"]] == [f"x.{kind}" for kind in kinds]
    assert not status["targets"]["n"]["errors"]
