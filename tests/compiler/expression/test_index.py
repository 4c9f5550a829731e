"""The index of a policy against the plain walk of its trees: random policies and records, and every decision the same."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
import samples
from policies import config_of, decided

from nfa.compiler.assemble import decision, image_of
from nfa.compiler.base.paths import Paths
from nfa.compiler.compile import Compiled, compile_policy
from nfa.compiler.config.sources import Sources
from nfa.compiler.expression.attributes import ATTRIBUTES, find
from nfa.compiler.expression.generate import Generator
from nfa.compiler.expression.normal import MAX_PRODUCT, alternatives, key_of
from nfa.compiler.expression.tree import And, Everything, Node, Not, Test
from nfa.compiler.expression.walk import Walker
from nfa.daemon.devices.configured import Devices
from nfa.daemon.engine import index as engine_index
from nfa.daemon.engine.policy import Policy
from nfa.daemon.engine.view import View
from nfa.image import cpython as image

Record = dict[str, Any]
CASES = int(os.environ.get("NFA_CASES", "100000"))
"""Decisions that are compared."""
RECORDS = 1000
ATOMS = (
    "app == 'youtube'", "app == 'netify.netflix'", "app == 'netify.reddit'", "app_id == 119", "app", "!app", "app != 'youtube'",
    "protocol == 'http/s'", "protocol == 'quic'", "protocol_id == 5", "protocol != 'dns'", "protocol",
    "category == 'streaming-media'", "category != 'games'", "app_category == 'social-media'", "protocol_category == 'web'",
    "category", "port == 443", "port != 443", "local_port > 40000", "other_port >= 80 && other_port <= 500", "other_port == 53",
    "port < 100", "local_port == 50001", "other_port == 443", "ip_protocol == 17", "ip_version == 6", "ip_version != 4",
    "local_ip == 192.168.1.0/24", "ip == 192.168.1.20", "ip != 192.168.1.21", "other_ip == 203.0.0.0/13", "ip == @some",
    "other_ip == 2001:db8::/32", "ip != @some", "mac == @some", "mac != 02:00:5e:10:01:14", "local_mac == 02:00:5e:10:01:14",
    "detected_hostname == 'www.example.com'", "detected_hostname == 'rx:(^|\\.)you.*\\.com$'", "detected_hostname",
    "client_sni == 'rx:e'", "server_cn == 'rx:net'", "ssl_version < 0x0303", "ssl_cipher == 0xc02f", "ssl_version",
    "risks == 36", "tags == 'home'", "alpn == 'h2'", "alpn == 'rx:^h'", "origin == origin_local", "other_type == other_remote",
    "detection_guessed == true", "detection_complete == false", "ip_nat == false", "tunnel_type == tunnel_none", "vlan_id > 0",
    "interface == 'rx:^eth'", "side == side_wan",
    "interface == 'br-lan'", "fwmark == 0", "ndpi_risk_score > 10", "user_agent == 'rx:mozilla'", "tags != 'home'", "risks",
    "local_ip == @tablet", "local_device == 'printer'", "device == @rooms", "mac != @printer", "!device", "other_device",
    "device == 'tv'",
)  # fmt: skip
GROUPS = "address-groups.d"


DEVICES = {
    "tablet": {"mac": ["02:00:5e:10:01:14"]}, "printer": {"ip": ["192.168.1.22", "2001:db8:4::/46"]}, "tv": {"name": "tv"},
}  # fmt: skip
ROWS: list[Any] = [
    ("tablet", "", (bytes.fromhex("02005e100114"),), (), ()),
    ("printer", "", (), ((bytes((192, 168, 1, 22)), 32), (bytes.fromhex("20010db8000400000000000000000000"), 46)), ()),
    ("tv", "", (), (), ("tv",)),
]
WALKER = Walker(View(devices=Devices(ROWS)))


@cache
def records() -> list[Record]:
    """Flows as netifyd 4 and 5 tell of them, with values of every kind that an attribute reads."""
    rng = Random(5)
    found: list[Record] = [record for record in samples.stream(seed=5, flows=RECORDS) if record["type"] == "flow"]
    found = found[:RECORDS]
    for number, record in enumerate(found):
        flow = record["flow"]
        if number % 3 == 0:
            flow["tags"] = rng.choice([["home"], ["Home", "x"], []])
        if number % 4 == 0:
            flow["risks"] = {"risks": rng.sample([3, 36, 41], 2), "ndpi_risk_score": rng.choice([0, 10, 160])}
        if number % 5 == 0:
            record["interface"], record["internal"] = "eth1", False
        if number % 15 == 0:
            record["interface"] = "Eth1"
        if number % 7 == 0:
            names = ["www.example.com", "YouTube.com", "a.youtu.com", "x" * 300 + ".com", "é.com"]
            flow["host_server_name"] = rng.choice(names)
        if number % 11 == 0:
            flow["local_port"] = rng.choice([50001, 443, 0])
        if number % 13 == 0:
            flow["ct_mark"] = rng.choice([0, 7])
    return found


@cache
def values(name: str) -> list[list[Any]]:
    """What each record has for an attribute."""
    return [WALKER.read(find(name), record) for record in records()]


_known: dict[object, list[bool]] = {}


def truths(node: Node) -> list[bool]:
    """Whether a tree holds, for each record: by the walk's own comparisons."""
    if isinstance(node, Everything):
        return [True] * len(records())
    if isinstance(node, Test):
        key = key_of(node)
        if key not in _known:
            attribute = find(node.attribute)
            _known[key] = [WALKER.holds(node, attribute, found) for found in values(node.attribute)]
        return _known[key]
    if isinstance(node, Not):
        return [not one for one in truths(node.item)]
    columns = [truths(item) for item in node.items]
    return [(all if isinstance(node, And) else any)(row) for row in zip(*columns, strict=True)]


def expected(compiled: Compiled, open_: list[bool]) -> list[tuple[int, ...] | None]:
    """What each record is to lead to, found in the plain way: action by action."""
    count = len(records())
    exempt = truths(compiled.exemptions) if compiled.exemptions else [False] * count
    found: list[list[int]] = [[] for _ in range(count)]
    halted = [False] * count
    for number, item in enumerate(compiled.actions):
        if item.reason or item.criteria is None:
            continue
        schedule = compiled.schedules.of.get(item.action.name)
        matches = truths(item.criteria)
        spared = truths(item.exemptions) if item.exemptions else [False] * count
        where = item.action.interface
        for i, record in enumerate(records()):
            side = {"*": True, "lan": record["internal"], "wan": not record["internal"]}
            here = side.get(where, record["interface"] == where)
            if halted[i] or not (here and matches[i]) or spared[i] or (schedule is not None and not open_[schedule]):
                continue
            found[i].append(number)
            halted[i] = item.action.halt_on_match
    return [None if exempt[i] else tuple(found[i]) for i in range(count)]


def expression(rng: Random, depth: int = 0) -> str:
    kind = rng.random()
    if depth > 2 or kind < 0.4:
        return rng.choice(ATOMS)
    if kind < 0.5:
        return f"!({expression(rng, depth + 1)})"
    joint = rng.choice([" && ", " || "])
    return "(" + joint.join(expression(rng, depth + 1) for _ in range(rng.choice([2, 2, 3, 5]))) + ")"


def random_config(rng: Random) -> dict[str, Any]:
    def texts(most: int) -> list[str]:
        return [expression(rng) + ";" for _ in range(rng.randint(1, most))]

    actions: dict[str, Any] = {}
    for number in range(rng.choice([1, 3, 8, 20])):
        action: dict[str, Any] = {"criteria": texts(3) if rng.random() < 0.95 else ["*"]}
        action["interface"] = rng.choice(["*", "*", "*", "lan", "wan", "br-lan", "eth1"])
        action["halt_on_match"] = rng.random() < 0.2
        action["priority"] = rng.choice([1, 100])
        if rng.random() < 0.3:
            lists = [["192.168.1.21"], ["@some"], ["@printer"], texts(1), ["02:00:5e:10:01:14", "app == 'netflix';"]]
            action["exemptions"] = rng.choice(lists)
        if rng.random() < 0.2:
            action["time_of_day"] = {"time_start": f"{rng.randint(0, 22):02}:00", "time_end": "23:30"}
        actions[f"a{number}"] = action
    exemptions = [] if rng.random() < 0.5 else rng.choice([["10.0.0.0/8"], ["192.168.1.20", "protocol == 'dns';"], texts(1)])
    return config_of(
        actions, exemptions=exemptions, timezone="UTC0", devices=DEVICES, groups={"rooms": {"device": ["tablet", "printer"]}}
    )


def build(folder: Path, config: dict[str, Any]) -> tuple[Compiled, Policy]:
    file = folder / "policy.json"
    file.write_text(json.dumps(config))
    compiled, reports = compile_policy(Sources(None, False, (str(file),)), Paths(str(folder), str(folder)), look=False)
    assert compiled is not None and not reports.errors, [report.text() for report in reports.items]
    data: Any = image.load(image.dump(image_of(compiled)))
    return compiled, Policy(data, image.code_of(data["code"]), {}, list(range(len(data["slots"]))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    groups = tmp_path / GROUPS
    groups.mkdir()
    lines = ["192.168.1.22", "192.168.1.128/25", "203.0.113.0/24", "2001:db8:4::/46", "02:00:5e:10:01:14"]
    (groups / "10-some.conf").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.parametrize("mark", [0, 7, "", None, "x", False])
def test_a_bare_number_in_another_form_means_the_same_to_both(tmp_path: Path, mark: object) -> None:
    """`nfa explain` would say that a flow does not match, and the daemon act on it."""
    compiled, policy = build(tmp_path, config_of({"a": {"criteria": ["fwmark || local_port == 1;"]}}))
    record = samples.flow(ct_mark=mark)
    criteria = compiled.actions[0].criteria
    assert bool(decided(policy, record)) == WALKER.truth(criteria, record) == bool(mark)


@pytest.mark.parametrize("seed", range(4))
def test_every_decision_of_the_index_is_that_of_the_plain_walk(folder: Path, seed: int) -> None:
    """A flow would meet the actions of another one, and only with some combination of rules, on some router."""
    rng = Random(seed)
    done = matched = several = 0
    while done < CASES // 4:
        compiled, policy = build(folder, random_config(rng))
        for number in range(len(policy.open)):
            policy.open[number] = rng.random() < 0.5
        wanted = expected(compiled, policy.open)
        order = list(range(len(wanted)))
        rng.shuffle(order)
        for i in order:
            record = records()[i]
            found = decided(policy, record)
            assert found == wanted[i], f"{compiled.policy.actions}\n{record}"
            done += 1
            matched += bool(found)
            several += found is not None and len(found) > 1
    assert matched > done // 10 and several > done // 50, "they decide something"


def test_the_walk_itself_is_what_the_reference_says(folder: Path) -> None:
    """The reference would have a fault in common with the index."""
    rng = Random(9)
    for _ in range(10):
        compiled, _ = build(folder, random_config(rng))
        for item in compiled.actions:
            if item.criteria is not None:
                assert truths(item.criteria) == [WALKER.truth(item.criteria, record) for record in records()]


def test_every_attribute_is_compared_by_some_policy() -> None:
    text = " ".join(ATOMS)
    seldom = {"dns_hostname", "issuer_dn", "subject_dn", "ja3", "ja4", "url", "bt_info_hash", "other_mac", "overlay_category"}
    seldom |= {"domain_category", "local_network_category", "other_network_category", "iface_nfq_src", "iface_nfq_dst"}
    seldom |= {"ndpi_risk_client", "ndpi_risk_server", "detection_updated"}
    for attribute in ATTRIBUTES:
        assert attribute.name in seldom or any(name in text for name in attribute.names), attribute.name


def test_what_is_remembered_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers choose names: each would take memory for ever, and a long one much of it."""
    monkeypatch.setattr(engine_index, "MAX_REMEMBERED", 10)
    _, policy = build(folder, config_of({"a": {"criteria": ["detected_hostname == 'rx:9$';"]}}))
    for number in range(100):
        record = samples.flow(host_server_name=f"name{number}")
        assert decided(policy, record) == ((0,) if number % 10 == 9 else ())
        assert len(policy._names["M0"]) <= 10
    record = samples.flow(host_server_name="long" * 100 + "9")
    assert decided(policy, record) == (0,)
    assert not [name for name in policy._names["M0"] if len(name) > 100]


def test_a_conjunction_of_many_choices_does_not_explode(folder: Path) -> None:
    """Ten lists of two would become a thousand alternatives, twenty a million: the compiler would take all memory."""
    pairs = [f"(local_port == {n} || other_ip == 10.0.0.{n})" for n in range(1, 21)]
    actions = {"a": {"criteria": [" && ".join(pairs) + ";"]}, "b": {"criteria": ["port == 5;"]}}
    compiled, policy = build(folder, config_of(actions))
    assert compiled.actions[0].criteria is not None
    assert len(alternatives(compiled.actions[0].criteria)) <= MAX_PRODUCT
    record = samples.flow(local_port=5, other="10.0.0.1")
    assert decided(policy, record) == (1,)


def test_equal_conditions_are_one_whatever_their_text(folder: Path) -> None:
    """Two hundred actions with the same exemption would look at it two hundred times."""
    actions = {
        f"a{n}": {"criteria": [f"local_port == {n};"], "exemptions": ["app == 'youtube';" if n % 2 else "app=='youtube' ;"]}
        for n in range(200)
    }
    compiled, _ = build(folder, config_of(actions))
    assert len({bit for row in image_of(compiled)["exemptions"] for bit in row}) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("operator", ["==", "!="])
def test_a_group_is_in_the_image_once_however_many_actions_name_it(tmp_path: Path, operator: str) -> None:
    """A hundred actions for a network of thousands of addresses: an image of a hundred megabytes, which is not loaded."""
    groups = tmp_path / GROUPS
    groups.mkdir()
    (groups / "10-many.conf").write_text("\n".join(f"10.{n >> 8}.{n & 255}.7" for n in range(2000)) + "\n")
    actions = {f"a{n}": {"criteria": [f"ip {operator} @many && other_port == {n};"]} for n in range(100)}
    compiled, policy = build(tmp_path, config_of(actions))
    assert len(image.dump(image_of(compiled))) < 200_000
    inside, outside = (samples.flow(local=address, other_port=5) for address in ("10.3.4.7", "10.3.4.8"))
    wanted = [(5,), ()] if operator == "==" else [(), (5,)]
    assert [decided(policy, record) for record in (inside, outside)] == wanted


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("port > 100 && port < 200", 1),  # of both ends together
        ("!(" + " || ".join(f"port == {n}" for n in range(1, 500)) + ")", 1),
        (" && ".join(f"port != {n}" for n in range(1, 500)), 1),
        (" || ".join(f"port == {n}" for n in range(1, 500)), 2),  # of either end
        ("ip == 10.0.0.0/8 && port > 100 && port < 200", 2),
        ("!(ip == 10.0.0.1) && app == 'youtube'", 1),
    ],
    ids=["range", "none of many", "not one of many", "one of many", "address and range", "not an address"],
)
def test_a_condition_on_one_attribute_is_one_alternative(folder: Path, text: str, count: int) -> None:
    """Alternatives are the width of every mask: a few too many for each action, and the policy takes all memory."""
    compiled, policy = build(folder, config_of({"a": {"criteria": [text + ";"]}}))
    criteria = compiled.actions[0].criteria
    assert criteria is not None
    assert len(alternatives(criteria)) == count
    assert len(image_of(compiled)["code"]) < 3000, "a list is a table, not a line of code for each"  # type: ignore[arg-type]
    for record in records()[:200]:
        assert bool(decided(policy, record)) == WALKER.truth(criteria, record)


def test_an_action_may_have_many_compound_expressions(folder: Path) -> None:
    """From the seventeenth on none of them would be found by its values: a thousand times slower, without a word."""
    texts = [f"app == 'youtube' && other_port == {n};" for n in range(1, 100)]
    compiled, _ = build(folder, config_of({"a": {"criteria": texts}}))
    source, meaning = decision(compiled, Generator())
    assert "rest" not in source
    assert len(meaning["criteria"][0]) == 99  # type: ignore[index]


def test_ordinary_values_are_remembered_however_many_are_looked_at(folder: Path) -> None:
    """A policy that looks at many attributes would make up its mind anew for each flow of a service with a long name."""
    tests = ["app", "protocol", "category", "origin", "other_type", "tunnel_type", "ip_nat == true", "interface", "ip_version"]
    _, policy = build(folder, config_of({f"a{n}": {"criteria": [f"{text};"]} for n, text in enumerate(tests)}))
    record = samples.flow("HTTP/S", "netify.youtube", detected_application_name="netify.apple-push-notification-service")
    decided(policy, record)
    assert len(policy._names["M0"]) == 1
