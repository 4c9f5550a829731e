"""Converters of the options of sinks and channels: where events go, and how a server is called.

In and out as in convert.py. `${...}` in them is expanded before, see channels.py.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass

from nfa.compiler.config.convert import Context, Invalid, elements, expected, scalar, writable
from nfa.compiler.config.jsontext import Object, Value
from nfa.compiler.config.model import Text
from nfa.daemon.stream.source import parse_source

HTTP_PORTS = {"http": 80, "https": 443}
MQTT_PORTS = {"mqtt": 1883, "tcp": 1883, "mqtts": 8883, "ssl": 8883}
_WITH_TLS = ("https", "mqtts", "ssl")
_OWN_HEADERS = ("connection", "content-encoding", "content-length", "host", "transfer-encoding")

_SERVER = re.compile(r"(?:([a-z]+)://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(/[!-~]*)?")
_LISTEN = re.compile(r"([a-z]+)://(.+)")
_PORT = re.compile(r".*[^:]:[0-9]{1,5}|\[.*\]:[0-9]{1,5}")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
# What is not ASCII is sent as UTF-8: RFC 7230, 3.2, obs-text.
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f-\x9f]{0,4096}")
_MODE = re.compile(r"0?[0-7]{3}")


@dataclass(frozen=True)
class Server:
    """Where a server is. `path` is of a URL; `port` 0: none was given."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def tls(self) -> bool:
        return self.scheme in _WITH_TLS

    @property
    def authority(self) -> str:
        """Host and port as a URL has them: no port where it is the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port in (0, {**HTTP_PORTS, **MQTT_PORTS}[self.scheme])
        return host if usual else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{'' if self.path == '/' else self.path}"


def _server(value: Value, schemes: dict[str, int], what: str) -> Server:
    value = scalar(value)
    plain = value.plain()
    match = _SERVER.fullmatch(plain.strip()) if isinstance(plain, str) else None
    if match is None and "@" in str(plain):
        fault = expected(what, value)
        fault.secret = True
        raise fault
    if match is None or (match[1] or next(iter(schemes))) not in schemes:
        raise expected(what, value)
    port = int(match[3] or 0)
    if port > 65535:
        raise expected(what, value)
    host = match[2]
    if host.startswith("["):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise expected(what, value) from None
    return Server(match[1] or next(iter(schemes)), host, port, match[4] or "/")


def url(value: Value, context: Context) -> Server:
    """url: http:// or https://, a host, perhaps a port and a path."""
    what = "a URL such as 'http://192.168.1.2:8080/events', without spaces, user name or password"
    plain = scalar(value).plain()
    if isinstance(plain, str) and "@" not in plain and ("://" not in plain or "#" in plain):
        raise expected(what, value)
    return _server(value, HTTP_PORTS, what)


def broker(value: Value, context: Context) -> Server:
    """broker: mqtt:// or mqtts://, a host, perhaps a port; or a host alone."""
    what = "a broker such as 'mqtt://192.168.1.2:1883' or 'mqtts://broker.example.org'"
    found = _server(value, MQTT_PORTS, what)
    if found.path != "/":
        raise expected(what, value)
    return found


def listen(value: Value, context: Context) -> str:
    """listen: unix://PATH and tcp://ADDRESS:PORT to listen on, udp://HOST:PORT to send to. The port may be missing."""
    value = scalar(value)
    what = "unix:///PATH, tcp://ADDRESS:PORT or udp://HOST:PORT"
    plain = value.plain()
    match = _LISTEN.fullmatch(plain.strip()) if isinstance(plain, str) else None
    if match is None:
        raise expected(what, value)
    scheme, rest = match.groups()
    if scheme in ("ws", "wss"):
        raise expected(what, value, "WebSockets are not supported; readers can use tcp://")
    if scheme == "unix":
        try:
            parse_source(f"unix://{rest}")
        except ValueError:
            raise expected("a path of at most 107 bytes: unix:///PATH", value) from None
        writable(os.path.dirname(rest), value)
        return f"unix://{rest}"
    uri = f"{scheme}://{rest}" if _PORT.fullmatch(rest) else f"{scheme}://{rest}:0"
    try:
        if scheme not in ("tcp", "udp"):
            raise ValueError
        _, address = parse_source(f"tcp{uri[3:]}", 0)
        if scheme == "tcp":
            assert isinstance(address, tuple)
            ipaddress.ip_address(address[0])
    except ValueError:
        raise expected(what, value, "to listen on all addresses: tcp://0.0.0.0:PORT") from None
    return uri


def with_port(uri: str, port: int | None) -> str:
    """A `listen` with this port if it has none; '' when neither has one."""
    if uri.startswith("unix:") or not uri.endswith(":0"):
        return uri
    return f"{uri[:-2]}:{port}" if port else ""


def is_exposed(uri: str) -> bool:
    """Whether a `listen` can be reached by other machines."""
    if not uri.startswith("tcp:"):
        return False  # a unix socket has its rights, and datagrams go where the configuration says
    _, address = parse_source(uri)
    assert isinstance(address, tuple)
    return not ipaddress.ip_address(address[0]).is_loopback


def headers(value: Value, context: Context) -> tuple[tuple[str, str], ...]:
    """headers: an object of texts, or a list of 'NAME: VALUE', as pairs."""
    pairs: list[tuple[Text, str, str]] = []
    if isinstance(value.value, Object):
        for name, member in value.value.members:
            if not isinstance(member.value, Text):
                raise expected("a text", member)
            pairs.append((name, name.value, member.value.value))
    else:
        for element in elements(value):
            if not isinstance(element.value, Text) or ":" not in element.value.value:
                raise expected("headers such as 'X-Token: abc'", element)
            before, _, after = element.value.value.partition(":")
            pairs.append((element.value, before.strip(), after.strip()))
    for text, key, content in pairs:
        if not _NAME.fullmatch(key) or not _VALUE.fullmatch(content):
            raise Invalid(text.place, "a header has a name without spaces and a value on one line")
        if key.lower() in _OWN_HEADERS:
            raise Invalid(text.place, f"nfa sets the header {key} itself")
    return tuple((key, content) for _, key, content in pairs)


def mode(value: Value, context: Context) -> int:
    """mode: file permissions in octal digits."""
    value = scalar(value)
    plain = value.plain()
    if isinstance(plain, int) and not isinstance(plain, bool):
        plain = str(plain)
    if not isinstance(plain, str) or not _MODE.fullmatch(plain):
        raise expected("file permissions in octal, such as '0660'", value)
    return int(plain, 8)
