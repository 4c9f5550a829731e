"""Under the real MicroPython: random policies of the whole language, over records of every form, as CPython decides them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import samples
from expression_samples import WORDS, record_of
from micropython_lab import SETS, MicroPython, compare

from nfa.compiler.expression.attributes import ATTRIBUTES, BY_NAME

TARGETS: dict[str, dict[str, Any]] = SETS | {
    "ctmark.m": {"target_type": "ctmark", "mark": "0x2", "mask": "0xff"},
    "ctlabel.l": {"target_type": "ctlabel", "labels": [5]},
    "nftset.macs": {"target_type": "nftset", "set_name": "macs", "type": ["local_mac", "other_mac", "mark"]},
    "nftset.ports": {"target_type": "nftset", "set_name": "ports", "type": ["other_port", "ip_proto", "interface"]},
    "ipset.mac": {"target_type": "ipset", "set_name": "mac", "type": "hash:mac"},
    "ipset.three": {"target_type": "ipset", "set_name": "three", "type": "hash:ip,port,ip"},
}
GROUPS = [
    {"name": "guests", "ips": ["192.168.4.0/24", "2001:db8:4::/46"], "macs": ["02:00:5e:10:00:14"]},
    {"name": "nobody", "ips": ["10.255.255.1"], "macs": ["0a:00:00:00:00:01"]},
]
DEVICES = {
    "devices": {
        "tablet": {"mac": "02:00:5e:10:00:14"},
        "printer": {"ip": ["192.168.4.20", "2001:db8:4::/46"]},
        "phone": {"name": "anns-phone"},
        "watch": {"mac": "02:00:5e:10:00:15"},
    },
    "groups": {"rooms": {"device": ["tablet", "printer"]}, "away": {"device": "watch"}},
}
"""What the expressions of `expression_samples` name."""
MANY = [[1]] * 65
ODD = (
    None, True, False, -1, 0, 1, 17, 70000, 4.0, 1.0, 17.5, 1e300, 1 << 70, -(1 << 65), "x:", "", "0x11", "１２", "0x1_1",
    "0b11", "02:00 5e 10:00 14", "１²3.netify.youtube", "1²3.netify.youtube", "\ud800", "ΟΔΟΣ", "ΣΑΣ.", "Kİß",
    [], {}, [1], [[]], MANY, {"a": 1}, ["h2"], ["h2", 5],
)  # fmt: skip
"""What a field may be that netifyd writes in another form."""


def tree(rng: Random, depth: int = 3) -> str:
    """A random expression."""
    kind = rng.random() if depth else 0
    if kind < 0.3:
        attribute = BY_NAME[name := rng.choice(sorted(BY_NAME))]
        words = list(attribute.constants) or WORDS[attribute.kind.name]
        return name if rng.random() < 0.2 else f"{name} {rng.choice(attribute.kind.operators)} {rng.choice(words)}"
    if kind < 0.45:
        return f"!({tree(rng, depth - 1)})"
    return rng.choice([" && ", " || "]).join(f"({tree(rng, depth - 1)})" for _ in range(rng.randrange(2, 4)))


def action(rng: Random) -> dict[str, Any]:
    """A random action with some of all that an action may have."""
    made: dict[str, Any] = {"criteria": f"{tree(rng)};", "targets": rng.sample(list(TARGETS), rng.randrange(1, 3))}
    hours = {"day": ["mon"], "time_start": rng.choice(["08:00", "13:00"]), "time_end": "17:00"}
    hours["policy"] = rng.choice(["inclusive", "exclusive"])
    some = {
        "exemptions": [f"{tree(rng, 1)};", rng.choice(["@guests", "192.168.4.20"])],
        "interface": rng.choice(["wan", "lan", "br-lan"]), "priority": rng.randrange(9),
        "time_of_day": hours,
    }  # fmt: skip
    made |= {name: value for name, value in some.items() if rng.random() < 0.25}
    return made | ({"halt_on_match": True} if rng.random() < 0.1 else {})


def records(rng: Random, count: int) -> list[bytes]:
    """Records of all versions."""
    return [json.dumps(record_of(rng.randrange(1 << 32))).encode() for _ in range(count)]


def odd_records() -> Iterator[bytes]:
    """Records in which one field is odd, or one part."""
    record = samples.as_v5(
        samples.flow(risks=(46,), host_server_name="a.example", http={"url": "b", "user_agent": "c"}, bt={"info_hash": "d"}),
        ssl={"version": "0x0303", "cipher_suite": "0x1301", "alpn": ["h2"], "client_sni": "e", "server_cn": "f"}, tags=["g"],
    )  # fmt: skip
    for value in sorted(ODD, key=lambda value: value is not MANY):  # that before anything is remembered
        yield json.dumps(record | {"flow": record["flow"] | {"risks": {"risks": value}}}).encode()
    for value in ODD:
        for name in record["flow"].keys() - {"digest"}:
            yield json.dumps(record | {"flow": record["flow"] | {name: value}}).encode()
        for part in ("category", "risks", "ssl", "http", "bt", "nfq", "conntrack"):
            for name in record["flow"][part]:
                changed = record["flow"][part] | {name: value}
                yield json.dumps(record | {"flow": record["flow"] | {part: changed}}).encode()
        yield json.dumps(record | {"internal": value}).encode()
        if value != "\ud800":  # it is no device's name, and no element either way
            yield json.dumps(record | {"interface": value}).encode()


def config(seed: int, actions: int) -> dict[str, Any]:
    rng = Random(seed)
    rows = {f"a{number:02}": action(rng) for number in range(actions)}
    made = {"version": 1, "timezone": "UTC", "targets": TARGETS, "actions": rows} | DEVICES
    return made | ({"exemptions": [f"{tree(rng, 1)};"]} if seed & 1 else {})


def each(texts: list[str]) -> dict[str, Any]:
    """A policy with an action for each expression."""
    rows = {f"e{number}": {"criteria": f"{text};", "targets": ["nftset.flow"]} for number, text in enumerate(texts)}
    return {"version": 1, "targets": TARGETS, "actions": rows} | DEVICES


@pytest.fixture(autouse=True)
def groups(tmp_path: Path) -> None:
    (tmp_path / "address-groups.json").write_text(json.dumps({"address_groups": GROUPS}))


@pytest.mark.parametrize(("seed", "actions"), [(1, 5), (2, 40), (3, 90), (4, 90)])
def test_random_policies_decide_as_under_cpython(micropython: MicroPython, tmp_path: Path, seed: int, actions: int) -> None:
    """A policy that was tested on a PC would match other flows on the router."""
    said = compare(micropython, tmp_path, config(seed, actions), records(Random(seed), 400))
    assert len(set(said)) > 100


def test_fields_in_another_form_are_judged_as_by_cpython(micropython: MicroPython, tmp_path: Path) -> None:
    """A record that CPython refuses would have an effect, or be refused on the router."""
    more = ["app == 'youtube'", "ssl_version == 17", "local_mac == @guests"]
    policy = each([attribute.name for attribute in ATTRIBUTES] + more)
    for action in policy["actions"].values():
        action["targets"] = list(TARGETS)
    said = compare(micropython, tmp_path, policy, list(odd_records()), "16M")
    assert {"bad types", "malformed"} < set(said)


def test_each_comparison_of_each_attribute_is_that_of_cpython(micropython: MicroPython, tmp_path: Path) -> None:
    """One operator of one attribute would be another under MicroPython."""
    texts = []
    for attribute in ATTRIBUTES:
        words = list(attribute.constants) or WORDS[attribute.kind.name]
        texts += [attribute.name] + [f"{attribute.name} {operator} {words[0]}" for operator in attribute.kind.operators]
        texts += [f"{attribute.name} == {word}" for word in words[1:]]
    said = compare(micropython, tmp_path, each(texts), records(Random(9), 300), "16M")
    assert len(set(said)) > 100


PATTERNS = [
    r"^(www|api)\.", r"\bads?[0-9]{2,3}\.", r"(a|b){3,20}c", r"^([a-z0-9-]{1,63}\.){2,8}com$", r"[^\W\d_]{3,}",
    r"x{40,60}y", r"a.*?b+?c??d", r"(?:[a-f0-9]{4}-){3}", r"\w+\.\w+$", r"\Bcom\b|\Aads", r"(?s:a.b)|(?m:^c$)",
    r"[Σß-éK]+", r"(?-i:Σ|k)", r"σας$", r"\s\S\d\D$", r"[\]\-^.]{2}", r"(|a)(b|)\.", r"é?école", r"^$", r"\x41\u212a|\.com\Z",
]  # fmt: skip
LETTERS = "abcdkKxyz0129-_.]^ \n\t\u212aéÉßẞΣσςſ\u0130\u0131世\U00010400"


def test_regular_expressions_match_as_under_cpython(micropython: MicroPython, tmp_path: Path) -> None:
    """MicroPython's `re` lacks counted repeats, `\\b` and case, without a word about it."""
    rng = Random(4)
    rules = [f"{name} == 'rx:{text}'" for name in ("url", "alpn") for text in PATTERNS]
    fixed = ["ads12.", "ads123.x", "aabbc", "www.x.com", "x" * 50 + "y", "dead-beef-0000-", "ab\n", "", "école"]
    made = []
    fixed += ["a" * 1023 + "\n", "a" * 1024 + ".com"]
    for text in fixed + ["".join(rng.choices(LETTERS + "abc.com", k=rng.randrange(40))) for _ in range(300)]:
        record = samples.flow(http={"url": text}, ssl={"alpn": [text[:20], text[5:]]})
        made.append(json.dumps(record, ensure_ascii=bool(rng.getrandbits(1))).encode() + b"\n")
    assert len(set(compare(micropython, tmp_path, each(rules), made))) > 50


def test_a_capital_sigma_is_that_of_cpython(micropython: MicroPython, tmp_path: Path) -> None:
    """Its lower case depends on what is around it; a name in capitals would escape its policy, or be taken for another."""
    texts = ["οδος", "οδοσ", "σας.gr", "ς", "σ", "α.ςς", "οδος.example", "aς", "1σ", "ςσ"]
    upper = [text.upper() for text in texts]
    upper += ["ΟΔΟΣ\u0301", "ΟΔΟΣ\u0301Α", "A\u00adΣ", "Α.Σ.", "ΣΣ", "1Σ", "Α:Σ:Α", "𝐀Σ", "ʰΣ"]
    rng = Random(3)
    upper += ["".join(rng.choices("ΑΣς.:1'\u0301\u00ad ʰ\u0345中", k=6)) for _ in range(200)]
    made = [json.dumps(samples.flow(http={"url": text})).encode() + b"\n" for text in [*texts, *upper]]
    assert len(set(compare(micropython, tmp_path, each([f"url == '{text}'" for text in texts]), made))) > 8
