"""Devices and groups of devices: sets of addresses under a name that expressions use as @NAME.

In: the sections of all files, merged. Out: `Device`s and `DeviceGroup`s by name. What is wrong with one is reported; it is kept
and marked `broken`, so that what names it is known not to be understood, instead of meaning less than it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import cast

from nfa.compiler.base.report import Place, Reports, did_you_mean, quote
from nfa.compiler.config.convert import Context
from nfa.compiler.config.document import Section
from nfa.compiler.config.model import Device, DeviceGroup, Text
from nfa.compiler.config.options import DEVICE_OPTIONS, GROUP_OPTIONS, Options
from nfa.compiler.config.origins import Origins
from nfa.compiler.config.properties import Complete, complete, convert
from nfa.compiler.expression.tree import Devices, Network

LEFT_OUT = "what names it cannot be used"
MAX_DEVICES = 1024
MAX_DEPTH = 16
"""Groups in groups."""
PRIVATE = 0x02
"""The bit of a MAC address's first byte that says that no manufacturer gave it."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def read_devices(sections: list[Section], context: Context) -> dict[str, Device]:
    """The devices, by name."""
    reports = context.reports
    found: dict[str, Device] = {}
    for section in sections:
        name = section.name
        what = f"device {quote(name.value)}"
        values, broken, origins = _values(what, section, DEVICE_OPTIONS, context)
        device = Device(
            name.value,
            name.place,
            cast(str, values["title"]),
            cast("tuple[bytes, ...]", values["macs"]),
            cast("tuple[Network, ...]", values["networks"]),
            cast("tuple[str, ...]", values["names"]),
            broken,
            origins,
        )
        if not (device.macs or device.networks or device.names or broken):
            message = f"{what} has no 'mac', 'ip' or 'name'"
            reports.warning("matches-nothing", name.place, message, consequence="no flow is this device's")
        if len(found) == MAX_DEVICES:
            message = f"there are more than {MAX_DEVICES} devices"
            reports.error("too-many-devices", name.place, message, consequence=f"this and later ones: {LEFT_OUT}")
        device.broken = broken or len(found) >= MAX_DEVICES
        found[name.value] = device
    _report_shared(found, reports)
    _report_private(found, reports)
    return found


def read_groups(sections: list[Section], devices: Mapping[str, Device], context: Context) -> dict[str, DeviceGroup]:
    """The groups of devices, by name, with the devices of the groups that they name."""
    reports = context.reports
    found: dict[str, DeviceGroup] = {}
    members: dict[str, list[Text]] = {}
    for section in sections:
        name = section.name
        values, broken, origins = _values(f"group {quote(name.value)}", section, GROUP_OPTIONS, context)
        members[name.value] = cast("list[Text]", values["devices"] or [])
        if name.value in devices:
            _report_clash(name.value, "group of devices", name.place, "device", devices[name.value].place, reports)
            devices[name.value].broken = broken = True
        found[name.value] = DeviceGroup(name.value, name.place, cast(str, values["title"]), (), broken, origins)
    reader = _Groups(devices, found, members, reports)
    for group in found.values():
        reader.resolve(group, ())
    return found


def _values(what: str, section: Section, options: Options, context: Context) -> tuple[dict[str, object], bool, Origins]:
    """A value for each option, whether something is wrong, and where the values come from."""
    own = convert(what, section.properties, options, context, LEFT_OUT)
    done = complete(what, section.name.place, options, [own], context, LEFT_OUT)
    named = _NAME.fullmatch(section.name.value) is not None
    if not named:
        message, hint = f"{what}: the name cannot be used", "expected 1 to 64 letters, digits, '_', '-' or '.'"
        context.reports.error("bad-name", section.name.place, message, hint=hint, consequence=LEFT_OUT)
    given = {option.key: option.default for option in options} | {key: one.value for key, one in own.values.items()}
    found = done or Complete(given, {})
    return found.values, bool(done is None or own.broken or not named), Origins(found.origins)


class _Groups:
    """Finds the devices of groups, those of groups in groups included."""

    def __init__(
        self, devices: Mapping[str, Device], groups: dict[str, DeviceGroup], members: dict[str, list[Text]], reports: Reports
    ) -> None:
        self.devices = devices
        self.groups = groups
        self.members = members
        self.reports = reports
        self.done: set[str] = set()

    def resolve(self, group: DeviceGroup, above: tuple[str, ...]) -> None:
        """Fill in the devices of a group. `above`: the groups that it was reached through."""
        if group.name in self.done:
            return
        names: dict[str, None] = {}
        inside = (*above, group.name)
        for member in self.members[group.name]:
            word = member.value.strip().removeprefix("@")
            if word in self.groups and word in inside:
                message = f"group {quote(group.name)} contains itself: {' > '.join(map(quote, (*inside, word)))}"
                self.reports.error("group-cycle", member.place, message, consequence=LEFT_OUT)
                group.broken = True
            elif word in self.groups and len(inside) > MAX_DEPTH:
                message = f"group {quote(group.name)}: groups are nested more than {MAX_DEPTH} deep here"
                self.reports.error("group-cycle", member.place, message, consequence=LEFT_OUT)
                group.broken = True
            elif word in self.groups:
                self.resolve(self.groups[word], inside)
                names.update(dict.fromkeys(self.groups[word].devices))
                group.broken |= self.groups[word].broken
            elif word in self.devices:
                names[word] = None
                group.broken |= self.devices[word].broken
            else:
                message = f"group {quote(group.name)}: there is no device or group {quote(word)}"
                hint = did_you_mean(word, (*self.devices, *self.groups))
                self.reports.error("unknown-device", member.place, message, hint=hint, consequence=LEFT_OUT)
                group.broken = True
        group.devices = tuple(names)
        self.done.add(group.name)


def numbered(
    devices: Mapping[str, Device], groups: Mapping[str, DeviceGroup], others: Mapping[str, Place], reports: Reports
) -> tuple[list[Device], dict[str, Devices | None]]:
    """The devices that can be used, in the order of their numbers, and what each name of a device or group means.

    None is what a name means that has an error.
    `others` are the places of netifyd's address groups, by name: one of the same name makes the name ambiguous.
    """
    usable = [device for device in devices.values() if not device.broken]
    number_of = {device.name: number for number, device in enumerate(usable)}
    meaning: dict[str, Devices | None] = {}
    for device in devices.values():
        meaning[device.name] = None if device.broken else _meaning(device.name, (device.name,), number_of, devices)
    for group in groups.values():
        meaning[group.name] = None if group.broken else _meaning(group.name, group.devices, number_of, devices)
    for name in [name for name in meaning if name in others]:
        kind = "device" if name in devices else "group of devices"
        place = devices[name].place if name in devices else groups[name].place
        _report_clash(name, kind, place, "address group", others[name], reports)
        meaning[name] = None
    return usable, meaning


def _meaning(name: str, names: Iterable[str], number_of: Mapping[str, int], devices: Mapping[str, Device]) -> Devices:
    """What the name of a device or group stands for; `names` are its devices, all of which can be used."""
    found = [devices[one] for one in names]
    members = sorted(((device.macs, device.networks, device.names) for device in found), key=repr)
    return Devices(name, frozenset(number_of[device.name] for device in found), tuple(members))


def _report_clash(name: str, kind: str, place: Place, other: str, there: Place, reports: Reports) -> None:
    message = f"the {kind} {quote(name)} has the name of the {other} at {there}"
    reports.error("name-taken", place, message, hint="give one of the two another name", consequence=f"@{name} cannot be used")


def _report_shared(devices: Mapping[str, Device], reports: Reports) -> None:
    """Warn of a MAC address, address or host name that two devices have: a flow is both's then."""
    first: dict[object, Device] = {}
    for device in devices.values():
        for thing in (*device.macs, *device.networks, *device.names):
            other = first.setdefault(thing, device)
            if other is not device:
                message = f"device {quote(device.name)} has {_shown(thing)}, as has device {quote(other.name)} at {other.place}"
                reports.warning("device-shared", device.place, message, consequence="such flows are of both devices")


def _shown(thing: object) -> str:
    if isinstance(thing, Network):
        import ipaddress

        return f"{ipaddress.ip_address(thing.packed)}/{thing.prefix}"
    return thing.hex(":") if isinstance(thing, bytes) else f"the host name {quote(str(thing))}"


def _report_private(devices: Mapping[str, Device], reports: Reports) -> None:
    """Warn of MAC addresses that a device makes up, and another one for each network or from time to time."""
    for device in devices.values():
        private = [mac.hex(":") for mac in device.macs if mac[0] & PRIVATE]
        if private:
            message = f"device {quote(device.name)}: {', '.join(private)} is a private address, which changes with the network"
            hint = "on the device, switch private (random) MAC addresses off for this network"
            consequence = "the device is not recognised when it changes"
            reports.warning("private-mac", device.place, message, hint=hint, consequence=consequence)
