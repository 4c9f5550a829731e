"""The targets of a new policy, built beside the active ones: on any exception, the active ones stay unchanged.

In: the image's targets and slots, and a registry. Out: a `Prepared`, whose tables take the place of the registry's (`adopt`).
"""

from .counters import Counters
from .log import Log
from .sets.slot import Slot, set_of
from .target import LogTarget, SetTarget, interface_test

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any, Protocol

    from ..engine.networks import Networks
    from ..sinks.channel import Channel
    from ..sinks.hub import Hub
    from ..sinks.target import SinkTarget
    from .connections.slot import ConnectionSlot
    from .connections.writer import Connections
    from .firewall.firewall import Firewall
    from .firewall.maps import MapSlot
    from .firewall.target import FirewallTarget
    from .owntable import OwnTable
    from .pf import Tables
    from .types import FilledSlot

    Data = dict[str, Any]
    Make = Callable[[Data, Data], bytes]
    AnySlot = Slot | ConnectionSlot
    Target = LogTarget | SetTarget | SinkTarget | FirewallTarget | None

    class Running(Protocol):
        """The registry: the active tables, and what makes new objects."""

        hub: Hub | None
        tables: Tables | None
        sinks: dict[int, SinkTarget]
        by_number: dict[int, AnySlot]
        targets: dict[str, Target]
        all_counters: dict[str, Counters]
        logs: dict[int, LogTarget]
        retired: list[Log]
        make_hub: Callable[[], Hub] | None
        make_tables: Callable[[], Tables] | None
        networks: Networks | None
        connections: Connections | None
        table: OwnTable

        def make_connections(self) -> Connections: ...
        def make_log(self, options: Data, counters: Counters) -> Log: ...
        def new_number(self) -> int: ...
        def cut(self, slot: FilledSlot, key: bytes, flow: Data) -> None: ...


CONNECTION_KINDS = ("ctmark", "ctlabel", "cut")
"""Kinds of slots that hold connections; nothing is set in those of `cut`."""


class Prepared:
    """The tables of a registry as they will be. What stays (slots, logs, sinks, counters) is the registry's own object."""

    def __init__(self, image: "Data", registry: "Running") -> None:
        self._image = image
        self._registry = registry
        self.described: list[Data] = image["targets"]
        self.misfits = {set_of(data) for data in image["slots"] if data.get("replace")}
        self.by_number: dict[int, AnySlot] = {}
        self.targets: dict[str, Target] = {}
        self.sinks: dict[int, SinkTarget] = {}
        self.logs: dict[int, LogTarget] = {}
        self.hub: Hub | None = registry.hub
        self.connections: Connections | None = registry.connections
        self.tables: Tables | None = registry.tables
        self.counters = dict(registry.all_counters)
        self.retired: list[Log] = []
        self.firewall: Firewall | None = registry.table.firewall
        self.frame: Data | None = None
        self.maps: list[tuple[MapSlot, Make]] = []
        """The maps of the frame, with what makes their elements."""
        self.siblings: list[tuple[AnySlot, list[AnySlot]]] = []
        self.unused: list[AnySlot] = []
        self.kept: list[tuple[AnySlot, Data, Counters]] = []
        """Slots that stay, with what they are to have; `new`: the others, and whether nobody fills their set yet."""
        self.new: list[tuple[Slot, bool]] = []
        self.channels: list[Channel] = []
        self.uses: list[tuple[SinkTarget, tuple[Any, ...], SetTarget | None]] = []
        """For each sink target what it is to use, and what cuts its flows."""

    def build(self, numbers: list[int], functions: "list[Make]") -> None:
        """Build all of it (see `registry`)."""
        image, before = self._image, self._registry.by_number
        kinds = {target["name"]: target["type"] for target in image["targets"]}
        sets = [set_of(slot.data) for slot in before.values()]
        slots: list[AnySlot] = []
        if image.get("firewall") is not None and self.firewall is None:
            self.firewall = self._registry.table.make(self._registry.networks)
        self.frame = image.get("firewall")
        for data, number in zip(image["slots"], numbers):
            counters = self._firewall().counters if "map" in data else self._counters_of(data["target"], kinds[data["target"]])
            slot = before.get(number)
            if slot is not None:
                self.kept.append((slot, data, counters))
            elif "map" in data:
                slot = self._map_slot(number, data)
                self.new.append((slot, True))
            elif data["kind"] in CONNECTION_KINDS:
                slot = self._connection_slot(number, data, counters)
            else:
                slot = self._slot(number, data, counters)
                # A set that another target fills already is not emptied for this one.
                self.new.append((slot, set_of(data) not in sets))
                sets.append(set_of(data))
            slots.append(slot)
        self.by_number = {slot.number: slot for slot in slots}
        self.unused = [slot for number, slot in before.items() if number not in self.by_number]
        named = [(slot, set_of(data)) for slot, data in zip(slots, image["slots"])]
        for slot, name in named:
            self.siblings.append((slot, [other for other, same in named if other is not slot and same == name]))
        self.maps = [(slot, make) for slot, make in zip(slots, functions) if "map" in slot.data]  # type: ignore[misc]  # MapSlots
        self._bind(slots, functions)

    def _counters_of(self, name: str, kind: str) -> Counters:
        """Return the counters of a target, kept over reloads as long as its type stays."""
        found = self.counters.get(name)
        if found is None or found.kind != kind:
            found = self.counters[name] = Counters(name, kind)
        return found

    def _slot(self, number: int, data: "Data", counters: Counters) -> Slot:
        """Return a new slot of a set, or of a table of PF."""
        if data["kind"] != "pftable":
            return Slot(number, data, counters)
        if self.tables is None:
            assert self._registry.make_tables is not None
            self.tables = self._registry.make_tables()
        return self.tables.slot(number, data, counters)

    def _firewall(self) -> "Firewall":
        assert self.firewall is not None
        return self.firewall

    def _map_slot(self, number: int, data: "Data") -> Slot:
        """Return a new slot of a map."""
        from .firewall.maps import MapSlot

        firewall = self._firewall()
        return MapSlot(number, data, firewall.counters, firewall.combinations, firewall.union, firewall.count)

    def _connection_slot(self, number: int, data: "Data", counters: Counters) -> "ConnectionSlot":
        """Return a new slot of connections."""
        from .connections.slot import ConnectionSlot

        self._connect()
        return ConnectionSlot(number, data, counters)

    def _connect(self) -> None:
        """Some target changes connections."""
        if self.connections is None:
            self.connections = self._registry.make_connections()

    def _bind(self, slots: "list[AnySlot]", functions: "list[Make]") -> None:
        """Build the targets, which put flows into slots, logs and sinks."""
        before = {target.counters.name: target for target in self._registry.logs.values()}
        unused = {name: target.log for name, target in before.items()}
        wanted = [target for target in self.described if target["active"]]
        for target in wanted:
            name = target["name"]
            counters = self._counters_of(name, target["type"])
            if target["type"] == "log":
                # One that stays keeps its number, also with other options: flows hold keys with it.
                number = before[name].number if name in before else self._registry.new_number()
                log = unused.get(name)
                if log is not None and log.options == target["options"]:
                    del unused[name]
                else:
                    log = self._registry.make_log(target["options"], counters)
                cutting = self._bound(target, counters, slots, functions)
                self.targets[name] = self.logs[number] = LogTarget(number, log, target["interface"], cutting)
            elif target["type"] == "firewall" and image_effects(self.frame, name):
                self.targets[name] = self._firewall_target(target, counters, slots, functions)
            elif target["slots"] and target["type"] not in ("sink", "firewall"):
                self.targets[name] = self._bound(target, counters, slots, functions)
        self.retired = self._registry.retired + list(unused.values())
        self._bind_sinks([target for target in wanted if target["type"] == "sink"], slots, functions)

    def _firewall_target(
        self, target: "Data", counters: Counters, slots: "list[AnySlot]", functions: "list[Make]"
    ) -> "FirewallTarget":
        """Return a firewall target. What it cuts, it cuts itself, and not once more for the part that marks."""
        from .firewall.target import FirewallTarget

        marked = dict(target)
        marked["cut"] = False
        marks = self._bound(marked, counters, slots, functions)
        if target["cut"]:
            self._connect()
        return FirewallTarget(
            self._firewall(), counters, target["interface"], marks, self._registry.cut if target["cut"] else None
        )

    def _bind_sinks(self, wanted: "list[Data]", slots: "list[AnySlot]", functions: "list[Make]") -> None:
        """Build sink targets. One that stays keeps its number: flows hold keys with it."""
        # Notices go through channels as well.
        notices = self._image.get("notices")
        others = [one["channel"] for one in notices["notices"] if one["channel"]] if notices else []
        if (wanted or others) and self.hub is None:
            assert self._registry.make_hub is not None
            self.hub = self._registry.make_hub()
        if self.hub is None:
            return
        self.channels = self.hub.prepare([target["channel"] for target in wanted] + others)
        before = {sink.counters.name: sink for sink in self._registry.sinks.values()}
        for target, channel in zip(wanted, self.channels):
            name = target["name"]
            counters = self._counters_of(name, "sink")
            sink = before.get(name) or self.hub.target(self._registry.new_number(), counters)
            self.targets[name] = self.sinks[sink.number] = sink
            use = channel, target["events"], interface_test(target["interface"])
            self.uses.append((sink, use, self._bound(target, counters, slots, functions)))

    def _bound(self, target: "Data", counters: Counters, slots: "list[AnySlot]", functions: "list[Make]") -> SetTarget | None:
        """Return what puts flows into the slots of a target; None when it has none."""
        if not target["slots"]:
            return None
        if target["cut"]:
            self._connect()
        made = SetTarget(counters, target["interface"], self._registry.cut if target["cut"] else None)
        bound = []
        for index in target["slots"]:
            slot, make = slots[index], functions[index]
            bound.append((slot, make if isinstance(slot, Slot) else slot.key_function(make)))
        made.bind(bound)
        networks = self._registry.networks
        end = only_address(self._image["slots"][target["slots"][0]])
        if end and networks is not None:
            made.forbids = networks.forbids if end == "other" else networks.forbids_local
        return made


def image_effects(frame: "Data | None", name: str) -> bool:
    """Return whether a frame has effects of a target."""
    return frame is not None and name in frame["effects"]


def only_address(data: "Data") -> str:
    """Return whose address an element of a slot is, "other" or "local"; "" when it is more, or something else."""
    if data["kind"] == "pftable":
        return str(data["type"])
    fields = data["fields"]
    return fields[0][:5] if fields in (("other_addr",), ("local_addr",)) else ""
