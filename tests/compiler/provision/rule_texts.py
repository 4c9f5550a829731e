"""Every kind of rule that firewall targets have: as text for `nft`, and as this project makes it."""

from __future__ import annotations

from nfa.compiler.config.routes import Wan
from nfa.compiler.provision import nftset, routing, rules
from nfa.compiler.provision.firewall import MAPS

_LAYERS = {4: "ip", 6: "ip6"}


def _look_up_text(name: str, fields: tuple[str, ...], family: int, out: bool) -> str:
    words = []
    for field in fields:
        near = field.startswith("local") == out
        if field == "ip_proto":
            words.append("meta l4proto")
        else:
            ways = ("saddr", "daddr") if field.endswith("_addr") else ("sport", "dport")
            words.append(f"{_LAYERS[family] if field.endswith('_addr') else 'th'} {ways[0 if near else 1]}")
    return f"meta mark set {' . '.join(words)} map @{name}"


def _look_ups() -> dict[str, rules.Rule]:
    """The parts of each look-up: what nft makes of its text does not put a packet's own mark back, which two expressions do."""
    found = {}
    for scope, maps in MAPS.items():
        for stem, way, fields in maps:
            for family in (4, 6):
                ways = {"up": (True,), "down": (False,)}.get(way, (True, False))
                for out in (True,) if scope == "route" else ways:
                    name = f"{stem}.v{family}"
                    rule = rules.look_up(name, fields, family, out)
                    found[_look_up_text(name, fields, family, out)] = [*rule[:-5], rule[-4]]
                    found["meta mark vmap @combinations"] = [rule[-3], rule[-1]]
    return found


def _before() -> str:
    made = ["add chain inet nfa other", "add map inet nfa combinations { type mark : verdict; }"]
    for maps in MAPS.values():
        for stem, _, fields in maps:
            for family in (4, 6):
                kind = nftset.key_of(fields, family).text
                made.append(f"add map inet nfa {stem}.v{family} {{ type {kind} : mark; flags timeout; counter; }}")
    for family in (4, 6):
        made.append(f"add set inet nfa limit_v{family} {{ type ipv{family}_addr; flags dynamic,timeout; timeout 60s; }}")
    return "\n".join(made)


BEFORE = _before()
TEXTS: dict[str, rules.Rule] = _look_ups()
TEXTS |= {
    f"meta l4proto {name} return": rule
    for name, rule in zip(("tcp", "udp", "udplite", "sctp", "dccp"), rules.done_with_ports(), strict=True)
}
TEXTS["goto other"] = rules.go_to("other")
TEXTS["meta nfproto ipv6 goto other"] = rules.go_to_for(6, "other")
TEXTS |= dict(
    zip(
        ("ct direction original goto other", "ct direction reply goto other"), rules.by_direction("other", "other"), strict=True
    )
)
TEXTS |= dict(zip(("meta l4proto tcp reject with tcp reset", "reject"), rules.VERDICTS["reject"], strict=True))
TEXTS["drop"] = rules.VERDICTS["drop"][0]
for _name, _code in (("ef", 46), ("cs1", 8), ("af41", 34), ("cs0", 0), ("63", 63)):
    TEXTS |= dict(zip((f"ip dscp set {_name}", f"ip6 dscp set {_name}"), rules.set_dscp(_code), strict=True))
for _value, _mask in ((0x10, 0xF0), (0x12345678, 0xFFFFFFFF), (0, 0x80000000)):
    TEXTS[f"meta mark set meta mark & {~_mask & 0xFFFFFFFF:#x} | {_value:#x}"] = rules.set_mark(_value, _mask)
for _value, _mask in ((0x4000, 0xC000), (0xC00, 0xC00)):
    _wan = Wan("", True, _value, _mask, (1, 1), 1, ("eth0",))
    _is, _set = f"mark & {_mask:#x} == {_value:#x}", f"mark & {~_mask & 0xFFFFFFFF:#x} | {_value:#x}"
    TEXTS[f"ct direction original ct {_is} meta mark set meta {_set}"] = routing.keep(_wan)
    _first = "ct status & confirmed == 0"
    TEXTS[f'meta {_is} oifname "eth0" {_first} ct mark set ct {_set}'] = routing.note(_wan, "eth0")
TEXTS["ct direction original ct status & confirmed == 0 goto other"] = routing.first_packet("other")
for _rate in (250_000, 1000, 125_000_000):
    _text = f"limit rate over {_rate} bytes/second burst 16384 bytes"
    TEXTS[f"{_text} drop"] = rules.limit(_rate)
    for _family, _layer in _LAYERS.items():
        for _way, _addresses in (("saddr", rules.SOURCE), ("daddr", rules.DESTINATION)):
            _each = rules.limit_each(f"limit_v{_family}", _addresses, _family, _rate)
            TEXTS[f"update @limit_v{_family} {{ {_layer} {_way} {_text} }} drop"] = _each
TEXTS |= dict(
    zip(
        (
            'iifname "lo" return', "tcp dport 22 return", "tcp dport 53 return", "tcp dport 80 return", "tcp dport 443 return",
            "udp dport 53 return", "udp dport 67-68 return", "udp dport 546-547 return", "udp sport 53 return",
            "tcp sport 53 return", "icmpv6 type 133-137 return",
        ),
        rules.spared(True),
        strict=True,
    )
)  # fmt: skip
TEXTS |= dict(zip(('oifname "lo" return', "tcp sport 22 return"), rules.spared(False)[:2], strict=True))
