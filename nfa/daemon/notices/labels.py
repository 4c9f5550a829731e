"""What devices are called in sentences.

In: the key of a device (its MAC address, its address, "router"), and what is configured and learnt. Out: its title, its name,
or a host name, as a part of a sentence that no stranger's name can break.
"""

from ..engine.view import MALFORMED, address
from .harmless import clean, name

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from ..devices.known import Known
    from ..engine.engine import Engine

ROUTER = "router"


class Labels:
    """`quotes`: of the language, around what is no plain word."""

    def __init__(self, engine: "Engine", known: "Callable[[], Known | None]") -> None:
        """`known()`: what is known of the network's addresses, if somebody learns that."""
        self._engine = engine
        self._known = known
        self.quotes = ("'", "'")

    def name(self, text: str) -> str:
        """Return a name of anything for a sentence."""
        return name(text, self.quotes)

    def devices_of(self, flow: "dict[str, Any]") -> "list[str]":
        """Return the names of the configured devices that a flow is of."""
        policy = self._engine.policy
        return policy.device_names(flow, "local") if policy is not None else []

    def configured(self, key: str) -> "list[str]":
        """Return the names of the configured devices that a key is."""
        return [names[0] for names in self._rows(key)]

    def _rows(self, key: str) -> "list[tuple[str, str]]":
        """Return name and title of the configured devices that a key is."""
        policy = self._engine.policy
        devices = policy.devices if policy is not None else None
        if devices is None or key == ROUTER:
            return []
        if key in devices.names:
            return [(key, devices.titles[devices.names.index(key)])]
        try:
            mac = mac_of(key)
            numbers = sorted(devices.of_mac(mac)) if mac else devices.of(address(key), b"")
            return [(devices.names[number], devices.titles[number]) for number in numbers]
        except MALFORMED:
            return []

    def _called(self, key: str) -> str:
        """Return what people call a device; "" when it has no name."""
        for own, title in self._rows(key):
            return title or own
        known = self._known()
        if known is None:
            return ""
        mac = mac_of(key)
        if mac:
            return (known.names_of(mac) + ("",))[0]
        try:
            return known.name_at(address(key))
        except MALFORMED:
            return ""

    def label(self, key: str) -> str:
        """Return what a device is called, for programs."""
        return clean(self._called(key) or key)

    def shown(self, key: str) -> str:
        """Return what a device is called, for a sentence."""
        found = self._called(key)
        if not found and (mac_of(key) or _is_address(key)):
            return key
        return self.name(found or key)

    def with_key(self, key: str) -> str:
        """Return the same, with its address where it has a name."""
        shown = self.shown(key)
        return shown if shown == key else shown + " (" + clean(key) + ")"


def mac_of(key: str) -> bytes:
    """Return the MAC address that a device's key is; b"" for another key."""
    if len(key) != 17 or key.count(":") != 5:
        return b""
    try:
        return bytes.fromhex(key.replace(":", ""))
    except MALFORMED:
        return b""


def _is_address(key: str) -> bool:
    try:
        address(key)
    except MALFORMED:
        return False
    return True


def is_told(key: str) -> bool:
    """Return whether a new key means a new device. A device without a MAC address makes up IPv6 addresses all the time."""
    return bool(mac_of(key)) or (key != ROUTER and ":" not in key)
