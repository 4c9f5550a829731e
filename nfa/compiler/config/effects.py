"""Converters of what a firewall target does to packets: DSCP, marks, rates.

In and out as in convert.py.
"""

from __future__ import annotations

import re
from typing import Any

from nfa.compiler.base.report import did_you_mean
from nfa.compiler.config.convert import UINT32, Context, Invalid, Of, expected, found, one_of, scalar
from nfa.compiler.config.jsontext import Value

# RFC 2474, 2597, 3246, 5865 and 8622.
DSCP = {f"cs{number}": 8 * number for number in range(8)}
DSCP |= {f"af{number}{drop}": 8 * number + 2 * drop for number in range(1, 5) for drop in range(1, 4)}
DSCP |= {"be": 0, "df": 0, "le": 1, "va": 44, "ef": 46}
_NAMES = {number: name.upper() for name, number in reversed(DSCP.items())}

_UNITS = {
    "bit": 1, "kbit": 1000, "mbit": 1000**2, "gbit": 1000**3,
    "byte": 8, "kbyte": 8 * 1000, "mbyte": 8 * 1000**2, "gbyte": 8 * 1000**3,
}  # fmt: skip
MIN_RATE, MAX_RATE = 1000, 125 * 1000**3
"""Bytes in a second: 8 kbit, less than which no connection can live on, and 1000 gbit."""
_RATE = r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([A-Za-z]+)(?:/s)?"
_NUMBER = r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}"
_PAIR = re.compile(rf"({_NUMBER})/({_NUMBER})")
DSCP_BITS = 6


def _dscp(value: Value, context: Context) -> int:
    """set_dscp: a name of a class such as EF, or its number."""
    value = scalar(value)
    plain = value.plain()
    word = plain.strip().lower() if isinstance(plain, str) else ""
    number = DSCP.get(word, int(word, 0) if re.fullmatch(r"0x[0-9a-f]{1,2}|0|[1-9][0-9]?", word) else plain)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 1 << DSCP_BITS:
        hint = did_you_mean(word, DSCP) if word and not word.isdecimal() else ""
        raise expected("a DSCP class such as 'EF', 'CS1' or 'AF41', or a number from 0 to 63", value, hint)
    return number


def _dscp_schema() -> dict[str, object]:
    number = {"type": "string", "pattern": r"^\s*(?:0[xX][0-9a-fA-F]{1,2}|0|[1-9][0-9]?)\s*$"}
    return {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 63}, one_of(DSCP), number]}


dscp = Of(_dscp, _dscp_schema)


def _rate(value: Value, context: Context) -> int:
    """limit: bits or bytes in a second, with a unit as tc writes it. Gives whole bytes in a second."""
    value = scalar(value)
    plain = value.plain()
    match = re.fullmatch(_RATE, plain.strip()) if isinstance(plain, str) else None
    what = "a rate such as '2mbit', '500kbit' or '250kbyte' (in a second)"
    if match is None:
        raise expected(what, value, "bit, kbit, mbit and gbit, or byte, kbyte, mbyte and gbyte, have to follow the number")
    unit = match[2].lower()
    if unit not in _UNITS:
        per_second = "tc means bytes by bps, others bits: write mbit or mbyte"
        hint = per_second if unit.endswith("ps") else did_you_mean(unit, _UNITS)
        raise expected(what, value, hint)
    whole, _, part = match[1].partition(".")
    size: int = int(whole + part) * _UNITS[unit] // (8 * 10 ** len(part))  # exactly: a number with a point is not always
    if not MIN_RATE <= size <= MAX_RATE:
        raise expected("a rate from 8kbit to 1000gbit", value)
    return size


def _rate_schema() -> dict[str, object]:
    units = str(one_of(_UNITS)["pattern"]).removeprefix(r"^\s*").removesuffix(r"\s*$")
    pattern = rf"^\s*[0-9]{{1,12}}(?:\.[0-9]{{1,6}})?\s*{units}(?:/s)?\s*$"
    return {"type": "string", "pattern": pattern, "examples": ["2mbit", "500kbit", "250kbyte"]}


rate = Of(_rate, _rate_schema)


def pair_of(text: str) -> tuple[int, int] | None:
    """Two numbers of 32 bits with a '/' between, decimal or with 0x; None for any other text."""
    match = _PAIR.fullmatch(text.strip())
    if match is None:
        return None
    first, second = (int(part, 16 if part[:2] in ("0x", "0X") else 10) for part in match.groups())
    return (first, second) if max(first, second) <= UINT32 else None


def _pair(value: Value, what: str) -> tuple[int, int]:
    plain = value.plain()
    pair = pair_of(plain) if isinstance(plain, str) else None
    if pair is None:
        raise expected(what, value)
    return pair


def _masked_mark(value: Value, context: Context) -> tuple[int, int]:
    """set_mark: VALUE/MASK. Without a mask the marks of other programs would be lost, so it has to be there."""
    value = scalar(value)
    mark, mask = _pair(value, "VALUE/MASK such as '0x10/0xf0': only the bits of the mask are written")
    if not mask or mark & ~mask:
        message = f"the value {mark:#x} has bits outside of the mask {mask:#x}" if mask else "the mask is 0"
        raise Invalid(value.place, message, f"write {mark:#x}/{mask | mark:#x}" if mask else "", found(value))
    return mark, mask


def _ctinfo(value: Value, context: Context) -> str:
    """ctinfo: MASK/STATE, what `tc ... action ctinfo dscp MASK STATE` is called with. `pair_of` gives the numbers."""
    value = scalar(value)
    mask, state = _pair(value, "MASK/STATE of tc's 'ctinfo dscp', such as '63/128'")
    shift = (mask & -mask).bit_length() - 1
    if not mask or mask >> shift != (1 << DSCP_BITS) - 1:
        raise Invalid(value.place, f"a mask has {DSCP_BITS} bits side by side, such as 63 or 0xfc000000", "", found(value))
    if not state or state & mask:
        raise Invalid(value.place, "the state is one more bit, which the mask lacks, such as 128", "", found(value))
    return str(value.plain()).strip()


def _pair_schema(example: str) -> dict[str, object]:
    return {"type": "string", "pattern": rf"^\s*(?:{_NUMBER})/(?:{_NUMBER})\s*$", "examples": [example]}


masked_mark = Of(_masked_mark, lambda: _pair_schema("0x10/0xf0"))
ctinfo = Of(_ctinfo, lambda: _pair_schema("63/128"))


_NETWORK = r"[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,31}"
_DEVICE = r"[^\s/:]{1,15}"


def _name_of(pattern: str, what: str) -> Of:
    def convert(value: Value, context: Context) -> str:
        value = scalar(value)
        plain = value.plain()
        word = plain.strip() if isinstance(plain, str) else ""
        if not re.fullmatch(pattern, word):
            raise expected(what, value)
        return word

    return Of(convert, lambda: {"type": "string", "pattern": rf"^\s*{pattern}\s*$"})


network = _name_of(_NETWORK, "a network of /etc/config/network such as 'wan2', or a device")
device = _name_of(_DEVICE, "the name of a network device such as 'wwan0'")


# -- in words ------------------------------------------------------------------------------------------------------------


_VERDICTS = {
    "reject": "are rejected (TCP is reset, other senders get an ICMP error)",
    "drop": "are dropped (the sender is told nothing)",
}
_SCOPES = {
    "connection": "packets of the connection",
    "server": "packets of all connections of the device to the same address, protocol and port",
    "device": "all packets of the device",
}


def in_words(options: dict[str, Any]) -> str:
    """What a firewall target does to packets, for people: a sentence without its point."""
    if options["route"]:
        other = "the usual way" if options["fallback"] else "no way"
        later = "later connections to the same address, protocol and port"
        return f"{later} go through {options['route']}, and {other} while that is down"
    subject = _SCOPES[options["scope"]] + (" from and to the router itself" if options["hook"] == "router" else "")
    if options["verdict"]:
        return f"{subject} {_VERDICTS[options['verdict']]}"
    found = []
    rates = [options["limit_up"] or options["limit"], options["limit_down"] or options["limit"]]
    if any(rates):
        ways = [f"{_rate_in_words(rate)} {way}" for rate, way in zip(rates, ("up", "down"), strict=True) if rate]
        shared = "for each local address" if options["per_device"] else "for all that reach the target together"
        found.append(f"at most {' and '.join(ways)}, {shared}")
    if options["set_dscp"] is not None:
        code = options["set_dscp"]
        found.append(f"DSCP {_NAMES.get(code, code)} in both directions")
    if options["set_mark"] is not None:
        found.append("mark {:#x}/{:#x}".format(*options["set_mark"]))
    return f"{subject} get {'; '.join(found)}"


def _rate_in_words(rate: int) -> str:
    bits = rate * 8
    for size, unit in ((10**9, "Gbit/s"), (10**6, "Mbit/s"), (10**3, "kbit/s")):
        if bits >= size:
            return f"{bits / size:g} {unit}"
    return f"{bits} bit/s"
