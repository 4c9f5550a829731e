"""Exemptions that are addresses and no expressions: `192.168.1.20`, `10.0.0.5-10.0.0.9`, `02:00:5e:10:00:14`, `@printers`.

In: the text of an entry, the address groups and the devices. Out: tests that hold for flows with it at either end, or None for
what is an expression; `ExpressionError` for what can only be meant as an address and is none.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..base.addresses import AddressError, looks_like_an_address
from ..base.report import did_you_mean, quote
from .check import address_value
from .grammar import ExpressionError
from .tree import Devices, Members, Node, Test


def bare_address(text: str, groups: Mapping[str, Members], devices: Mapping[str, Devices | None]) -> list[Node] | None:
    """Return the tests of an address, network, range, MAC address, group or device, also in quotes or with a `;` after it.

    `devices`: None is one with an error, which has been reported.
    """
    word = text.strip().removesuffix(";").rstrip()
    if len(word) > 2 and word[0] == word[-1] and word[0] in "'\"":
        word = word[1:-1].strip()
    start = text.find(word)
    if word.startswith("@"):
        name = word[1:]
        device = devices.get(name)
        if device is not None:
            return [Test("device", "==", device, f"device == {word}")]
        if name in devices:
            hint = "its error is reported at its own place"
            raise ExpressionError(f"the device {quote(name)} cannot be used", start, len(word), hint, "device-unusable")
        members = groups.get(name)
        if members is None:
            hint = did_you_mean(name, (*groups, *devices)) or "there are no address groups or devices"
            raise ExpressionError(
                f"unknown address group or device {quote(word)}", start, len(word), hint, "unknown-address-group"
            )
        return [Test("ip", "==", members, f"ip == {word}"), Test("mac", "==", members, f"mac == {word}")]
    try:
        value = address_value(word)
    except AddressError as fault:
        raise ExpressionError(f"{quote(word)}: {fault}", start, len(word), fault.hint, "bad-address") from None
    if value is not None:
        attribute = "mac" if isinstance(value, bytes) else "ip"
        return [Test(attribute, "==", value, f"{attribute} == {word}")]
    if looks_like_an_address(word):
        message = f"{quote(word)} is not an IP address, network, range or MAC address"
        raise ExpressionError(message, start, len(word), code="bad-address")
    return None
