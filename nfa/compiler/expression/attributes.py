"""The attributes of an expression: their names, what they may be compared with, and how a record gives their value.

One table serves the checker (kinds), the code generator (sources, as lines of Python that fill local names) and the
tree walker (the same sources, compiled one by one), so that an attribute is read in one way everywhere. In a source,
`r` is the record, `f` its `flow` object, and the functions are those of `nfa.daemon.engine.view`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

EQUALITY = ("==", "!=")
ORDER = ("==", "!=", ">", ">=", "<", "<=")


@dataclass(frozen=True)
class Kind:
    """What an attribute may be compared with: operators, token kinds, and words for a message."""

    name: str
    operators: tuple[str, ...]
    tokens: tuple[str, ...]
    expected: str


TAG = Kind("tag", EQUALITY, ("string", "number"), "a tag in single quotes ('netify.youtube' or 'youtube') or an id")
PROTOCOL = Kind("protocol", EQUALITY, ("string", "number"), "a protocol name in single quotes ('http/s') or an id")
CATEGORY = Kind("category", EQUALITY, ("string", "number"), "a category tag in single quotes ('games') or an id")
RISK = Kind("risk", EQUALITY, ("string", "number"), "a risk name in single quotes or an id")
STRING = Kind("string", EQUALITY, ("string", "regex"), "a string in single quotes, or a pattern 'rx:...'")
STRINGS = Kind("strings", EQUALITY, ("string", "regex"), "a string in single quotes, or a pattern 'rx:...'")
NAME = Kind("name", EQUALITY, ("string", "regex"), "the name of a network interface in single quotes")
ADDRESS = Kind("address", EQUALITY, ("address", "network", "range", "group"), "an IP address, a CIDR, a range a-b or an @group")
MAC = Kind("mac", EQUALITY, ("mac", "group"), "a MAC address or an @group")
DEVICE = Kind("device", EQUALITY, ("string", "group"), "a device or group of devices: its name in single quotes, or @NAME")
INTEGER = Kind("integer", ORDER, ("number",), "a number (443 or 0x1bb)")
BOOLEAN = Kind("boolean", EQUALITY, ("boolean",), "true or false")
CONSTANT = Kind("constant", EQUALITY, ("constant",), "a constant")


@dataclass(frozen=True)
class Attribute:
    """One attribute: canonical name first.

    `lines` fill local names (`v_NAME` by convention); `values` are the local names a comparison looks at: one, or two for
    attributes that mean "either end". `raw` are sources of what the record has there, hashable, from which the values follow:
    what was found out for one value is remembered by them. `setup` are the lines that `raw` needs.
    """

    names: tuple[str, ...]
    kind: Kind
    lines: tuple[str, ...]
    values: tuple[str, ...]
    constants: tuple[str, ...] = ()
    raw: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    """Names of the two attributes of which this one means either."""
    unknown: str = ""
    """For constants: the one that stands for "not known"; a bare attribute is true for any other."""

    @property
    def name(self) -> str:
        return self.names[0]


def _plain(names: str, kind: Kind, source: str, raw: str = "", **more: Any) -> Attribute:
    """An attribute with one source. `raw`: see `Attribute`; by default the source itself."""
    spelled = tuple(names.split())
    local = "v_" + spelled[0]
    return Attribute(spelled, kind, (f"{local} = {source}",), (local,), raw=(raw or source,), **more)


def _text(names: str, source: str, *setup: str) -> Attribute:
    """A string, compared in lower case."""
    spelled = tuple(names.split())
    local = "v_" + spelled[0]
    return Attribute(spelled, STRING, (*setup, f"{local} = text({source})"), (local,), raw=(source,), setup=setup)


def _list(name: str, kind: Kind, source: str, raw: tuple[str, ...], *setup: str) -> Attribute:
    """A list of the record; `raw`: sources of lists."""
    lines = (*setup, f"v_{name} = {source}")
    return Attribute((name,), kind, lines, (f"v_{name}",), raw=tuple(f"tuple({one})" for one in raw), setup=setup)


def _either(name: str, kind: Kind, first: Attribute, second: Attribute) -> Attribute:
    lines, values = first.lines + second.lines, first.values + second.values
    return Attribute((name,), kind, lines, values, raw=first.raw + second.raw, parts=(first.name, second.name))


_APP = Attribute(
    ("application", "app", "application_id", "app_id"),
    TAG,
    (
        "v_app_id = f.get('detected_application', 0)",
        "v_app, v_app_short = app_names(f.get('detected_application_name', ''), v_app_id)",
    ),
    ("v_app_id", "v_app", "v_app_short"),
    raw=("f.get('detected_application', 0)", "f.get('detected_application_name', '')"),
)
_PROTOCOL = Attribute(
    ("protocol", "proto", "protocol_id", "proto_id"),
    PROTOCOL,
    ("v_proto_id = f.get('detected_protocol', 0)", "v_proto = text(f.get('detected_protocol_name', ''))"),
    ("v_proto_id", "v_proto"),
    raw=("f.get('detected_protocol', 0)", "f.get('detected_protocol_name', '')"),
)
_CATEGORIES = "v_categories = f['category'] if 'category' in f else categories(f)"


def _category(names: str, key: str) -> Attribute:
    spelled = tuple(names.split())
    local = "v_" + spelled[0]
    source = f"v_categories.get('{key}', 0)"
    return Attribute(spelled, CATEGORY, (_CATEGORIES, f"{local} = {source}"), (local,), raw=(source,), setup=(_CATEGORIES,))


_APP_CATEGORY = _category("application_category app_category", "application")
_DOM_CATEGORY = _category("domain_category dom_category", "domain")
_OVERLAY_CATEGORY = _category("overlay_category", "overlay")
_LOCAL_IP = _plain("local_ip", ADDRESS, "address(f['local_ip'])", "f['local_ip']")
_OTHER_IP = _plain("other_ip", ADDRESS, "address(f['other_ip'])", "f['other_ip']")
_LOCAL_MAC = _plain("local_mac", MAC, "mac(f['local_mac']) if f.get('local_mac') else b''", "f.get('local_mac')")
_OTHER_MAC = _plain("other_mac", MAC, "mac(f['other_mac']) if f.get('other_mac') else b''", "f.get('other_mac')")
_LOCAL_DEVICE = _plain("local_device", DEVICE, "device_of(f['local_ip'], f.get('local_mac'))")
_OTHER_DEVICE = _plain("other_device", DEVICE, "device_of(f['other_ip'], f.get('other_mac'))")
_LOCAL_PORT = _plain("local_port", INTEGER, "f.get('local_port', 0)")
_OTHER_PORT = _plain("other_port", INTEGER, "f.get('other_port', 0)")
_SSL = "v_ssl = f.get('ssl', NOTHING)"
_HTTP = "v_http = f.get('http', NOTHING)"
_ALPN = ("v_ssl.get('alpn', [])", "v_ssl.get('alpn_server', [])")
_RISK = "v_risk_part = f.get('risks', NOTHING)"
_NFQ = "v_nfq = f.get('nfq', NOTHING)"


def _part(names: str, kind: Kind, first: str, source: str) -> Attribute:
    spelled = tuple(names.split())
    local = "v_" + spelled[0]
    return Attribute(spelled, kind, (first, f"{local} = {source}"), (local,), raw=(source,), setup=(first,))


ATTRIBUTES: tuple[Attribute, ...] = (
    _APP,
    _PROTOCOL,
    Attribute(
        ("category", "cat"),
        CATEGORY,
        _APP_CATEGORY.lines + _DOM_CATEGORY.lines[1:] + _OVERLAY_CATEGORY.lines[1:],
        _APP_CATEGORY.values + _DOM_CATEGORY.values + _OVERLAY_CATEGORY.values,
        raw=_APP_CATEGORY.raw + _DOM_CATEGORY.raw + _OVERLAY_CATEGORY.raw,
        setup=(_CATEGORIES,),
    ),
    _APP_CATEGORY,
    _DOM_CATEGORY,
    _category("protocol_category proto_category", "protocol"),
    _OVERLAY_CATEGORY,
    _category("local_network_category", "local_network"),
    _category("other_network_category", "other_network"),
    _text("detected_hostname", "f.get('host_server_name', '')"),
    _text("dns_hostname", "f.get('dns_host_name', '')"),
    _LOCAL_IP,
    _OTHER_IP,
    _either("ip", ADDRESS, _LOCAL_IP, _OTHER_IP),
    _LOCAL_MAC,
    _OTHER_MAC,
    _either("mac", MAC, _LOCAL_MAC, _OTHER_MAC),
    _LOCAL_DEVICE,
    _OTHER_DEVICE,
    _either("device", DEVICE, _LOCAL_DEVICE, _OTHER_DEVICE),
    _LOCAL_PORT,
    _OTHER_PORT,
    _either("port", INTEGER, _LOCAL_PORT, _OTHER_PORT),
    _plain("ip_protocol ip_proto", INTEGER, "f.get('ip_protocol', 0)"),
    _plain("ip_version", INTEGER, "f.get('ip_version', 0)"),
    _plain("vlan_id", INTEGER, "f.get('vlan_id', 0)"),
    _plain("ip_nat", BOOLEAN, "f.get('ip_nat') is True"),
    _plain("detection_guessed", BOOLEAN, "f.get('detection_guessed') is True"),
    _plain("detection_updated", BOOLEAN, "f.get('detection_updated') is True"),
    # A flow record of 4.x is complete unless it is guessed; 5.x (which always has ip_dscp) says so with a type of its own.
    _plain(
        "detection_complete",
        BOOLEAN,
        "r['type'] == 'flow_dpi_complete' or "
        "(r['type'] == 'flow' and 'ip_dscp' not in f and f.get('detection_guessed') is not True)",
    ),
    _plain(
        "other_type",
        CONSTANT,
        "'other_' + f.get('other_type', 'unknown')",
        constants=(
            "other_unknown",
            "other_unsupported",
            "other_local",
            "other_multicast",
            "other_broadcast",
            "other_remote",
            "other_error",
        ),
        unknown="other_unknown",
    ),
    _plain(
        "origin",
        CONSTANT,
        "('origin_local' if f['local_origin'] else 'origin_other') if 'local_origin' in f else 'origin_unknown'",
        constants=("origin_local", "origin_other", "origin_unknown"),
        unknown="origin_unknown",
    ),
    _plain(
        "tunnel_type",
        CONSTANT,
        "'tunnel_gtp' if 'gtp' in f else 'tunnel_none'",
        constants=("tunnel_none", "tunnel_gtp"),
        unknown="tunnel_none",
    ),
    _part("ssl_version tls_version", INTEGER, _SSL, "number(v_ssl.get('version', 0))"),
    _part("ssl_cipher tls_cipher", INTEGER, _SSL, "number(v_ssl.get('cipher_suite', 0))"),
    _list("risks", RISK, "v_risk_part.get('risks', ())", ("v_risk_part.get('risks', ())",), _RISK),
    _part("ndpi_risk_score", INTEGER, _RISK, "v_risk_part.get('ndpi_risk_score', 0)"),
    _part("ndpi_risk_client ndpi_risk_score_client", INTEGER, _RISK, "v_risk_part.get('ndpi_risk_score_client', 0)"),
    _part("ndpi_risk_server ndpi_risk_score_server", INTEGER, _RISK, "v_risk_part.get('ndpi_risk_score_server', 0)"),
    _plain("fwmark ct_mark", INTEGER, "f['ct_mark'] if 'ct_mark' in f else f.get('conntrack', NOTHING).get('mark', 0)"),
    _part("iface_nfq_src", NAME, _NFQ, "v_nfq.get('src_iface', '')"),
    _part("iface_nfq_dst", NAME, _NFQ, "v_nfq.get('dst_iface', '')"),
    _plain("interface iface", NAME, "r.get('interface', '')"),
    _list("alpn", STRINGS, f"texts({_ALPN[0]}, {_ALPN[1]})", _ALPN, _SSL),
    _text("client_sni", "v_ssl.get('client_sni', '')", _SSL),
    _text("server_cn", "v_ssl.get('server_cn', '')", _SSL),
    _text("issuer_dn", "v_ssl.get('issuer_dn', '')", _SSL),
    _text("subject_dn", "v_ssl.get('subject_dn', '')", _SSL),
    _text("ja3", "v_ssl.get('client_ja3', '')", _SSL),
    _text("ja4", "v_ssl.get('client_ja4', '')", _SSL),
    _text("user_agent", "v_http.get('user_agent', '')", _HTTP),
    _text("url", "v_http.get('url', '')", _HTTP),
    _text("bt_info_hash", "f.get('bt', NOTHING).get('info_hash', '')"),
    _plain(
        "side",
        CONSTANT,
        "'side_lan' if r.get('internal') is True else 'side_wan' if r.get('internal') is False else 'side_unknown'",
        constants=("side_lan", "side_wan", "side_unknown"),
        unknown="side_unknown",
    ),
    _list("tags", STRINGS, "texts(f.get('tags', []))", ("f.get('tags', [])",)),
)

SIDES = ("side", "interface")
"""Attributes that choose from which interface a record comes."""

OF_DEVICES = {f"{end}{of}": f"{end}device" for end in ("", "local_", "other_") for of in ("ip", "mac", "device")}
"""What reads the device at an end of a flow, for each attribute that may be compared with one."""
BY_NAME: dict[str, Attribute] = {name: attribute for attribute in ATTRIBUTES for name in attribute.names}
COMPACT = {"ai": "application", "pi": "protocol", "ac": "application_category", "pc": "protocol_category"}
CONSTANTS = tuple(constant for attribute in ATTRIBUTES for constant in attribute.constants)
LISTED = ("category", "domain_category", "local_network_category", "other_network_category")
"""What an owner's list may be compared with: names of domains with the first two, addresses with all but the second."""
CONSTANT_ALIASES = {"origin_remote": "origin_other"}
"""Names of older documents."""


def find(name: str) -> Attribute:
    """Return an attribute by any of its names."""
    return BY_NAME[name]
