"""The channels that targets of type sink name: found, completed from what their sinks say, checked.

In: sections `sink` and `channel` of UCI, Netify's files, and the targets. Out: each enabled sink target has its `Channel`, or a
`trouble` that was reported. Of sinks and channels that no target names, nothing is read.

In names, `-` and `_` are the same: UCI has no section with a dash in its name, and Netify's names have dashes.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from typing import cast

from nfa.compiler.base.files import FileError, read_text
from nfa.compiler.base.report import did_you_mean, quote
from nfa.compiler.config import netifysinks
from nfa.compiler.config.channel_options import CHANNEL_OPTIONS
from nfa.compiler.config.convert import Context
from nfa.compiler.config.document import Document, Properties, Section
from nfa.compiler.config.groups import STAYS
from nfa.compiler.config.jsontext import Object, Value
from nfa.compiler.config.model import Channel, Notice, Target, Text
from nfa.compiler.config.origins import Origins
from nfa.compiler.config.properties import complete, convert, is_off
from nfa.compiler.config.servers import HTTP_PORTS, MQTT_PORTS, Server, is_exposed, with_port

NO_FLOW = "no flow reaches the target"
Sender = Target | Notice
"""Who names a sink and a channel."""
CERTIFICATES = ("/etc/ssl", "/usr/share/ca-certificates")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
MAX_CERTIFICATES = 1 << 20  # bytes; all authorities of a system are a quarter of it
_VARIABLE = re.compile(r"\$\{(uuid_agent|uuid_serial|uuid_site|channel|sink)\}")
_UUID_FILES = {"uuid_agent": "agent.uuid", "uuid_serial": "serial.uuid", "uuid_site": "site.uuid"}
_UUID = re.compile(r"[0-9A-Za-z-]{1,64}")
# What decides how the events of all targets of a channel look.
SHAPE = ("format", "compressor", "header")


@dataclass
class _Sink:
    """A sink before its options are converted. `channels` by their normal names."""

    name: Text
    kind: str
    properties: Properties
    channels: dict[str, Section]


def connect_targets(targets: dict[str, Target], documents: list[Document], context: Context, sockets: dict[str, str]) -> Finder:
    """Give each enabled target of type sink its channel; where that has an error, the one of its last good version. Returns
    what finds channels, for others.

    `sockets`: the paths of those that no sink may listen on, to what they are.
    """
    finder = Finder(documents, context)
    others = {os.path.realpath(path): what for path, what in sockets.items()}
    first: dict[tuple[str, str], Target] = {}
    listening = finder.listening
    for target in targets.values():
        if target.type != "sink" or not target.enabled:
            continue
        elsewhere = finder.elsewhere(target)
        last = finder.last_good(target)
        finder.instead = STAYS if last else NO_FLOW
        channel = None if elsewhere else finder.channel(target)
        if channel is None and last is not None and not elsewhere and _names(target) not in finder.off:
            target.options, target.interface, target.cut, channel = last.options, last.interface, last.cut, last.channel
            context.keeping.kept["target", target.name] = None
        if channel is None and not elsewhere:
            target.trouble = "its sink or channel cannot be used"
            continue
        problem = _conflict(target, first.setdefault(_names(target), target))
        listens = channel is not None and channel.kind == "socket"
        if not problem and channel is not None and listens and not str(channel.options["listen"]).startswith("udp:"):
            path = os.path.realpath(str(channel.options["listen"]).removeprefix("unix://"))
            other = listening.setdefault(channel.options["listen"], target)
            if _names(other) != _names(target):
                problem = f"listens on {channel.options['listen']}, which the channel of {quote(other.name)} already uses"
            elif path in others:
                problem = f"listens on {channel.options['listen']}, which is {others[path]}"
        if problem:
            target.trouble = problem
            context.reports.error(
                "channel-conflict", target.place, f"target {quote(target.name)} {problem}", consequence=NO_FLOW
            )
        else:
            target.channel = channel
    return finder


def _names(target: Sender) -> tuple[str, str]:
    """The sink and channel of a target, as they are compared."""
    return normal(str(target.options["sink"])), normal(str(target.options["channel"]))


def _conflict(target: Target, other: Target) -> str:
    differing = [option for option in SHAPE if target.options[option] != other.options[option]]
    if not differing:
        return ""
    return f"sends through the same channel as {quote(other.name)}, but differs in {', '.join(differing)}"


def normal(name: str) -> str:
    """A name as it is compared."""
    return name.replace("_", "-")


class Finder:
    """Finds sinks and channels, each once."""

    def __init__(self, documents: list[Document], context: Context) -> None:
        self.context = context
        self.netify = netifysinks.find(context.paths) if context.paths.readable else netifysinks.NetifySinks({})
        self.declared = [section for document in documents for section in document.sinks]
        self.channels = [section for document in documents for section in document.channels]
        self.sinks: dict[str, _Sink | None] = {}
        self.found: dict[tuple[str, str], Channel | None] = {}
        self.off: set[tuple[str, str]] = set()
        """Sink and channel of those that are disabled."""
        self.instead = NO_FLOW
        """What an error in the sink or channel of the present target leads to."""
        self.listening: dict[object, Sender] = {}
        """What sinks listen on, to who sends through them."""

    def last_good(self, target: Target) -> Target | None:
        """The last good version of a target, unless its sink is gone."""
        last = self.context.keeping.last.targets.get(target.name)
        if last is None or last.channel is None:
            return None
        name = normal(last.channel.sink)
        there = any(normal(section.name.value) == name for section in self.declared)
        file = self.netify.files.get(last.channel.sink, ("", ""))[1]
        return last if there or os.path.lexists(file) else None

    def elsewhere(self, target: Sender) -> bool:
        """Whether the sink of a target may be in files, which are not read: see `Paths.readable`."""
        name = str(target.options["sink"])
        if self.context.paths.readable or any(normal(section.name.value) == normal(name) for section in self.declared):
            return False
        message = f"this check does not look for the sink {quote(name)} in other files"
        self.context.reports.info("not-looked-at", target.place, message, consequence="their content is taken to be valid")
        return True

    def channel(self, target: Sender) -> Channel | None:
        """The channel of a target; None, with an error, when there is none that can be used."""
        name, channel = str(target.options["sink"]), str(target.options["channel"])
        key = normal(name)
        if key not in self.sinks:
            self.sinks[key] = self._declared(name) or self._of_netify(name)
        sink = self.sinks[key]
        place = target.origins.values["sink"].place if "sink" in target.origins.values else target.place
        if sink is None and os.path.lexists(self.netify.files.get(name, ("", ""))[1]):
            return None  # the file is there; what is wrong with it was said
        if sink is None:
            known = [section.name.value for section in self.declared] + list(self.netify.files)
            near = did_you_mean(name, known)
            kind = self.netify.files.get(name, ("", ""))[1]
            near = near if near.startswith("did") and not kind else f"create {kind}, or a UCI section 'sink'" if kind else ""
            message = f"{target.what} names the sink {quote(name)}, which does not exist"
            self.context.reports.error("unknown-sink", place, message, hint=near, consequence=self.instead)
            return None
        if (key, normal(channel)) not in self.found:
            self.found[key, normal(channel)] = self._channel(sink, channel, target)
        return self.found[key, normal(channel)]

    def _declared(self, name: str) -> _Sink | None:
        """A sink of UCI."""
        section = next((section for section in self.declared if normal(section.name.value) == normal(name)), None)
        if section is None:
            return None
        given = _first(section.properties, "type")
        kind = str(given.plain()).strip().lower() if given is not None else ""
        if kind not in CHANNEL_OPTIONS:
            place = given.place if given is not None else section.name.place
            what = f"unknown type {quote(kind)}" if given is not None else "no 'type'"
            meant = "log" if kind == "file" else kind
            hint = did_you_mean(meant, CHANNEL_OPTIONS) if given is not None else f"known: {', '.join(CHANNEL_OPTIONS)}"
            message = f"sink {quote(section.name.value)} has {what}"
            self.context.reports.error("unknown-sink-type", place, message, hint=hint, consequence=self.instead)
            return _Sink(section.name, "", [], {})
        channels = {}
        for channel in self.channels:
            of = _first(channel.properties, "sink")
            if of is not None and normal(str(of.plain()).strip()) == normal(name):
                channels[normal(channel.name.value)] = Section(channel.name, _without(channel.properties, "sink"))
        return _Sink(section.name, kind, _without(section.properties, "type"), channels)

    def _of_netify(self, name: str) -> _Sink | None:
        """A sink of netifyd's folder."""
        found = self.netify.read(name, self.context)
        if found is None:
            return None
        kind, text, properties, channels = found
        return _Sink(text, kind, properties, {normal(section.name.value): section for section in channels})

    def _channel(self, sink: _Sink, name: str, target: Sender) -> Channel | None:
        context, reports = self.context, self.context.reports
        if not sink.kind:
            return None
        section = sink.channels.get(normal(name))
        what = f"channel {quote(name)} of sink {quote(sink.name.value)}"
        if section is None and sink.channels:
            place = target.origins.values["channel"].place if "channel" in target.origins.values else target.place
            there = f"which sink {quote(sink.name.value)} does not have"
            message = f"{target.what} names the channel {quote(name)}, {there}"
            hint = did_you_mean(name, [channel.name.value for channel in sink.channels.values()])
            reports.error("unknown-channel", place, message, hint=hint, consequence=self.instead)
            return None
        options = CHANNEL_OPTIONS[sink.kind]
        place = section.name.place if section else sink.name.place
        ways = [section, Section(sink.name, sink.properties)] if section else [Section(sink.name, sink.properties)]
        given = next((way for way in ways if any(key.value in ("enable", "enabled") for key, _ in way.properties)), ways[-1])
        if is_off("enable", given, options, context):
            self.off.add((normal(sink.name.value), normal(name)))
            reports.warning("channel-disabled", place, f"{what} is disabled", consequence=NO_FLOW)
            return None
        values = {"channel": name, "sink": sink.name.value}
        expand = _Expander(values, context, self.instead)
        own = convert(what, expand.all(section.properties if section else []), options, context, self.instead)
        inherited = convert(f"sink {quote(sink.name.value)}", expand.all(sink.properties), options, context, self.instead)
        found = complete(what, place, options, [own], context, self.instead, [inherited])
        if found is None or own.broken or inherited.broken or expand.failed:
            return None
        for option in options:
            default = found.values[option.key]
            if option.key not in found.origins and isinstance(default, str):
                found.values[option.key] = _VARIABLE.sub(lambda match: values.get(match[1], ""), default)
        channel = Channel(sink.name.value, name, sink.kind, place, found.values, Origins(found.origins))
        if channel.options.get("ca_file") and not self._read_certificate(channel):
            return None
        problem = _CHECKS[sink.kind](channel) if sink.kind in _CHECKS else ""
        if problem:
            reports.error("options-conflict", place, f"{what} {problem}", consequence=self.instead)
            return None
        if sink.kind == "socket" and is_exposed(str(channel.options["listen"])):
            seen = "all flows of the target" if isinstance(target, Target) else "all that the notice tells"
            message = f"{what} listens on {channel.options['listen']}: anyone who can connect sees {seen}"
            reports.warning(
                "channel-exposed",
                place,
                message,
                hint="listen on tcp://127.0.0.1 or a unix socket, or restrict access in the firewall",
            )
        return channel

    def _read_certificate(self, channel: Channel) -> bool:
        """Have the certificates themselves in `ca`: the daemon opens no file that a configuration names."""
        paths, reports, file = self.context.paths, self.context.reports, str(channel.options["ca_file"])
        if not paths.readable:
            return True
        place = channel.origins.values["ca_file"].place
        try:
            found = _CERTIFICATE.findall(read_text(paths.look(file), MAX_CERTIFICATES, paths.folders + CERTIFICATES))
        except FileError as error:
            reports.error(error.code, place, f"'ca_file': {error}", hint=error.hint, consequence=self.instead)
            return False
        channel.options["ca"] = "\n".join(found)
        if not found:
            hint = "expected the form PEM, which begins with -----BEGIN CERTIFICATE-----"
            reports.error(
                "bad-value", place, f"'ca_file': {quote(file)} has no certificate", hint=hint, consequence=self.instead
            )
        return bool(found)


def _first(properties: Properties, name: str) -> Value | None:
    return next((value for key, value in properties if key.value == name and value.value is not None), None)


def _without(properties: Properties, name: str) -> Properties:
    return [(key, value) for key, value in properties if key.value != name]


class _Expander:
    """Replaces `${uuid_agent}`, `${channel}` and so on in values; `failed` when one is not known."""

    def __init__(self, values: dict[str, str], context: Context, instead: str) -> None:
        self._instead = instead
        self._values = values
        self._context = context
        self.failed = False

    def all(self, properties: Properties) -> Properties:
        return [(name, self._value(value)) for name, value in properties]

    def _value(self, value: Value) -> Value:
        inner = value.value
        if isinstance(inner, Text) and _VARIABLE.search(inner.value):
            expanded = _VARIABLE.sub(lambda match: self._variable(match[1], inner), inner.value)
            return Value(replace(inner, value=expanded), value.place)
        if isinstance(inner, list):
            return Value([self._value(element) for element in inner], value.place)
        if isinstance(inner, Object):
            return Value(Object([(name, self._value(member)) for name, member in inner.members]), value.place)
        return value

    def _variable(self, name: str, text: Text) -> str:
        if name in self._values:
            return self._values[name]
        if not self._context.paths.readable:
            return "0"  # any UUID will do for a check
        file = self._context.paths.look(os.path.join(self._context.paths.state_persistent, _UUID_FILES[name]))
        try:
            found = read_text(file, 1024).strip()
        except FileError as error:
            self._context.reports.error(
                error.code, text.place, f"'${{{name}}}' has no value: {error}", consequence=self._instead
            )
        else:
            if _UUID.fullmatch(found):
                return found
            self._context.reports.error(
                "bad-value", text.place, f"'${{{name}}}': {quote(file)} does not contain a UUID", consequence=self._instead
            )
        self.failed = True
        return ""


# What no single option can say. Each check gives the problem, or '' when there is none, and completes the options.


def _check_socket(channel: Channel) -> str:
    options = channel.options
    options["listen"] = with_port(str(options["listen"]), cast("int | None", options["default_port"]))
    return "" if options["listen"] else "has no port in 'listen'"


def _check_mqtt(channel: Channel) -> str:
    options = channel.options
    server = cast(Server, options["broker"])
    if not server.port:
        port = cast("int | None", options["port"])
        # Netify's file has a host and a port and nothing else: 8883 is where brokers have TLS.
        scheme = "mqtts" if port == MQTT_PORTS["mqtts"] and server.scheme == "mqtt" else server.scheme
        server = replace(server, port=port or MQTT_PORTS[scheme], scheme=scheme)
    options["broker"] = server
    options["qos"] = min(1, cast(int, options["qos"]))
    return "has a 'password' without a 'username'" if options["password"] and not options["username"] else ""


def _check_http(channel: Channel) -> str:
    server = cast(Server, channel.options["url"])
    if not server.port:
        channel.options["url"] = replace(server, port=HTTP_PORTS[server.scheme])
    return ""


_CHECKS = {"socket": _check_socket, "mqtt": _check_mqtt, "http": _check_http}


# -- the image ---------------------------------------------------------------------------------------------------------


def channel_data(channel: Channel, shape: dict[str, object]) -> dict[str, object]:
    """What the daemon needs to know of a channel: plain data, see `nfa.daemon.sinks.channel.Channel`. `shape`: what events
    look like, SHAPE."""
    options = {
        key: value for key, value in channel.options.items() if key not in ("enable", "function", "default_port", "ca_file")
    }
    kind = channel.kind
    if kind == "socket":
        kind = str(options["listen"]).partition(":")[0]
    for key in ("url", "broker"):
        if key in options:
            server = cast(Server, options.pop(key))
            options |= {"host": server.host, "port": server.port, "tls": server.tls}
            if key == "url":
                options |= {"path": server.path, "authority": server.authority}
    return {"sink": channel.sink, "channel": channel.name, "kind": kind, "options": options, **shape}
