"""What every attribute, operator and value means, stated by hand from the project's description of expressions."""

from __future__ import annotations

import re
from typing import Any

import pytest
import samples
from expression_both import evaluator, understood

from nfa.compiler.expression.attributes import BY_NAME, COMPACT, CONSTANTS

SSL = {
    "version": "0x0304", "cipher_suite": "0x1301", "client_sni": "WWW.YouTube.com", "server_cn": "*.google.com",
    "issuer_dn": "C=US, O=Google Trust Services, CN=WR2", "subject_dn": "CN=*.google.com",
    "alpn": ["h3", "H2"], "alpn_server": ["h3-29"], "client_ja3": "cd08e31494f9531f560d64c695473da9",
    "client_ja4": "t13d1817h2_e8a523a41297_",
}  # fmt: skip
VIDEO = samples.flow(
    "QUIC", "netify.youtube", local="192.168.4.20", other="203.0.113.10", ip_protocol=17, vlan_id=7, risks=(46, 3),
    local_mac="02:00:5e:10:00:14", other_mac="02-00-5E-00-00-01", ip_nat=True, detection_updated=True, ct_mark=0x11,
    host_server_name="WWW.YouTube.com", dns_host_name="youtube.com", ssl=SSL,
    http={"user_agent": "Mozilla/5.0 (X11)", "url": "www.youtube.com/watch?v=1"},
)  # fmt: skip
PEER = samples.flow(
    "BitTorrent", local="2001:db8:1::20", local_port=6881, other="2001:db8:7fff::1", other_port=0, local_origin=False,
    detection_guessed=True, other_type="unknown", other_mac="", interface="pppoe-wan", internal=False,
    bt={"info_hash": "0123456789ABCDEF0123456789abcdef01234567"}, gtp={"version": 1},
)  # fmt: skip
BARE = samples.flow("Unknown", local="192.168.1.20", local_port=0, other="192.0.2.1", local_mac="", other_mac="")
for _name in ("local_origin", "other_type", "risks", "category", "ip_nat", "vlan_id", "local_mac", "other_mac"):
    del BARE["flow"][_name]
NEW = samples.as_v5(
    samples.flow("HTTP/S", "netify.tiktok", local="10.1.2.3", other_type="multicast"),
    "flow_dpi_update", tags=["Guest-LAN", "kids"], nfq={"src_iface": "br-guest", "dst_iface": "wan0"},
    conntrack={"id": 1, "mark": 0x80000001}, category={
        "application": 24, "protocol": 22, "domain": 29, "overlay": 28, "local_network": 5, "other_network": 6,
    },
)  # fmt: skip

# (record, what matches it, what does not)
MEANING: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "application": (
        VIDEO,
        ["app", "application == 'netify.youtube'", "app == 'YouTube'", "app_id == 124", "application_id == 0x7c",
         "application_id == 'NETIFY.youtube'", "app != 'netflix'", "app_id != 125", "ai:youtube", "ai:netify.youtube",
         "ai:124", "!ai:netflix"],
        ["app == 'tube'", "app == 'netify'", "app == 'youtube.com'", "app != 'youtube'", "!app", "ai:netflix", "!ai:124",
         "app != 124"],
    ),
    "no application": (
        PEER,
        ["!app", "app_id == 0", "app != 'youtube'", "!ai:youtube"],
        ["app", "app == 'unknown'", "app_id == 124", "app != 0"],
    ),
    "protocol": (
        VIDEO,
        ["proto", "protocol == 'quic'", "proto == 'QUIC'", "protocol_id == 188", "proto_id == 0xbc", "proto_id == 'Quic'",
         "proto != 'http/s'", "pi:quic", "pi:188", "!pi:'http/s'", "!pi:http/s"],
        ["protocol == 'qui'", "protocol != 'quic'", "proto_id != 188", "pi:dns", "!pi:quic"],
    ),
    "no protocol": (BARE, ["!protocol", "protocol == 'unknown'", "protocol_id == 0"], ["protocol", "proto != 'UNKNOWN'"]),
    "categories": (
        VIDEO,
        ["category == 'streaming-media'", "cat == 29", "application_category == 'Streaming-Media'", "app_category == 29",
         "protocol_category == 22", "proto_category == 'web'", "category != 'games'", "!domain_category",
         "dom_category == 0", "!overlay_category", "overlay_category == 0", "ac:streaming-media", "pc:22", "!ac:games"],
        ["category == 'games'", "category == 22", "cat != 'streaming-media'", "domain_category", "dom_category == 29",
         "proto_category == 29", "ac:games", "!pc:web"],
    ),
    "categories of version 5": (
        NEW,
        ["category == 24", "category == 29", "category == 28", "domain_category == 29", "overlay_category == 28",
         "local_network_category == 5", "other_network_category == 6", "local_network_category", "other_network_category",
         "category"],
        ["category == 22", "category == 5", "category == 6", "category != 24", "category != 29", "category != 28",
         "local_network_category == 6", "other_network_category != 6", "!overlay_category"],
    ),
    "no categories": (
        BARE,
        ["!category", "!application_category", "!protocol_category", "category != 'games'"],
        ["category", "category == 'games'", "category == 'unclassified'", "local_network_category", "other_network_category"],
    ),
    "host names": (
        VIDEO,
        ["detected_hostname", "detected_hostname == 'www.youtube.com'", "dns_hostname == 'YOUTUBE.COM'",
         "dns_hostname != 'www.youtube.com'", "detected_hostname == 'rx:youtube'", "detected_hostname == 'rx:^WWW\\.'",
         "detected_hostname == 'rx:youtube.com'", "detected_hostname != 'rx:^youtube'", "!dns_hostname == 'rx:netflix'"],
        ["detected_hostname == 'youtube.com'", "detected_hostname == 'rx:^youtube'", "detected_hostname != 'rx:youtube'",
         "dns_hostname == 'rx:www'", "!detected_hostname", "dns_hostname == 'youtube'"],
    ),
    "no host names": (
        PEER,
        ["!detected_hostname", "!dns_hostname", "detected_hostname != 'a'", "detected_hostname == 'rx:^$'"],
        ["detected_hostname", "dns_hostname == 'a'", "detected_hostname == 'rx:.'"],
    ),
    "addresses": (
        VIDEO,
        ["local_ip == 192.168.4.20", "other_ip == 203.0.113.10", "ip == 192.168.4.20", "ip == 203.0.113.10", "ip",
         "local_ip", "other_ip", "local_ip != 192.168.4.21", "ip != 192.168.4.21", "local_ip == 192.168.4.0/24",
         "local_ip == 192.168.4.20/32", "local_ip == 192.168.4.16/29", "local_ip == 192.168.4.23/29", "ip == 0.0.0.0/0",
         "local_ip == 128.0.0.0/1", "local_ip == 192.168.4.20/31", "local_ip == 192.168.0.0/17", "local_ip == @guests",
         "ip == @guests", "other_ip != @guests", "ip != @nobody", "ip == 192.168.0.0/255.255.0.0"],
        ["local_ip == 203.0.113.10", "ip != 192.168.4.20", "ip != 203.0.113.10", "local_ip == 192.168.4.24/29",
         "local_ip == 0.0.0.0/1", "ip == 10.0.0.0/8", "ip == ::/0", "ip == ::ffff:192.168.4.20", "other_ip == @guests",
         "ip != @guests", "ip == @nobody", "!ip", "local_ip == 192.168.128.0/17"],
    ),
    "addresses of version 6": (
        PEER,
        ["local_ip == 2001:db8:1::20", "local_ip == 2001:DB8:1:0:0:0:0:20", "ip == 2001:0db8:7fff::1", "ip == 2001:db8::/32",
         "ip == ::/0", "other_ip == 2001:db8:7000::/36", "other_ip == 2001:db8:4000::/33", "other_ip == 2000::/3",
         "local_ip == 2001:db8:1::20/127", "local_ip == 2001:db8:1::/122",
         "local_ip != @guests"],
        ["local_ip == 2001:db8:1::21", "ip == 0.0.0.0/0", "other_ip == 2001:db8:8000::/33", "other_ip == 2001:db8:7000::/37",
         "ip == @guests", "ip != 2001:db8::/32", "local_ip == 2001:db8:1::20/128 && local_ip == 2001:db8:1::/123"],
    ),
    "MAC addresses": (
        VIDEO,
        ["local_mac == 02:00:5e:10:00:14", "local_mac == 02-00-5E-10-00-14", "local_mac == 02:00:5E:10:00:14",
         "other_mac == 02:00:5e:00:00:01", "mac == 02:00:5e:10:00:14", "mac == 02:00:5e:00:00:01", "local_mac == @guests",
         "mac == @guests", "other_mac != @guests", "mac", "mac != 02:00:00:00:00:00"],
        ["mac != 02:00:5e:10:00:14", "other_mac == @guests", "mac == @nobody", "mac == 02:00:00:00:00:00", "!local_mac"],
    ),
    "no MAC addresses": (
        BARE,
        ["!mac", "!local_mac", "!other_mac", "mac != 02:00:5e:10:00:14", "mac != @guests"],
        ["mac", "mac == @guests", "local_mac == 00:00:00:00:00:00"],
    ),
    "one MAC address": (PEER, ["mac", "local_mac", "!other_mac"], ["other_mac", "!mac"]),
    "devices": (
        samples.flow(local="192.168.4.99", local_mac="02:00:5e:10:00:14", other="192.168.4.20", other_mac=""),
        ["local_device == 'tablet'", "local_device == @tablet", "device == 'tablet'", "device == 'printer'", "local_device",
         "other_device == 'printer'", "local_ip == @tablet", "local_mac == @tablet", "ip == @printer", "mac == @printer",
         "other_ip == @rooms", "local_ip == @rooms", "device == @rooms", "local_ip != @printer", "other_device != 'tablet'",
         "device != 'phone'", "!(local_ip == @printer)"],
        ["local_device == 'printer'", "other_ip == @tablet", "device == 'phone'", "device == @away", "local_ip != @tablet",
         "!local_device", "!device", "device != @rooms"],
    ),
    "no device": (BARE, ["!device", "!local_device", "!other_device", "device != 'tablet'"], ["device", "local_ip == @rooms"]),
    "ports": (
        VIDEO,
        ["local_port == 50000", "other_port == 443", "port == 443", "port == 0xc350", "port != 80", "port > 49999",
         "port < 444", "port >= 50000", "port <= 443", "local_port > 1024 && other_port < 1024", "other_port >= 443",
         "other_port <= 443", "port", "port == 0443", "local_port != 443"],
        ["local_port == 443", "port == 80", "port != 443", "port != 50000", "port > 50000", "port < 443", "port >= 50001",
         "port <= 442", "other_port > 443", "!port", "!local_port"],
    ),
    "no port": (PEER, ["port", "!other_port", "local_port", "other_port == 0", "other_port < 1"], ["other_port", "!port"]),
    "numbers": (
        VIDEO,
        ["ip_protocol == 17", "ip_proto == 0x11", "ip_proto != 6", "ip_version == 4", "ip_version < 6", "vlan_id == 7",
         "vlan_id", "ip_protocol", "ip_version", "fwmark == 17", "ct_mark == 0x11", "fwmark", "fwmark >= 0x10",
         "ssl_version == 0x0304", "tls_version > 0x303", "ssl_cipher == 0x1301", "tls_cipher", "tls_cipher < 0x1302"],
        ["ip_protocol == 6", "ip_version == 6", "vlan_id != 7", "!vlan_id", "fwmark == 18", "!ct_mark",
         "ssl_version < 0x0304", "!ssl_cipher", "tls_version == 304"],
    ),
    "no numbers": (
        BARE,
        ["!vlan_id", "vlan_id == 0", "!fwmark", "ct_mark == 0", "!ssl_version", "tls_version == 0", "!tls_cipher",
         "ssl_cipher < 0x0100", "!ndpi_risk_score", "ndpi_risk_score == 0"],
        ["vlan_id", "ssl_version", "tls_version > 0", "ct_mark", "fwmark != 0"],
    ),
    "a mark of version 5": (NEW, ["fwmark == 0x80000001", "ct_mark > 0x7fffffff", "fwmark"], ["fwmark == 1", "!ct_mark"]),
    "booleans": (
        VIDEO,
        ["ip_nat", "ip_nat == true", "ip_nat == TRUE", "ip_nat != false", "detection_updated == True", "!detection_guessed",
         "detection_guessed == false", "detection_guessed != true", "detection_complete", "detection_complete == true",
         "detection_updated"],
        ["!ip_nat", "ip_nat == false", "ip_nat != TRUE", "detection_guessed", "detection_guessed == true",
         "detection_updated == FALSE", "!detection_complete"],
    ),
    "no booleans": (BARE, ["!ip_nat", "ip_nat == false", "detection_complete"], ["ip_nat", "ip_nat == true"]),
    "constants": (
        VIDEO,
        ["other_type == other_remote", "other_type != other_local", "other_type", "origin == origin_local", "origin",
         "tunnel_type == tunnel_none", "!tunnel_type", "tunnel_type != tunnel_gtp", "origin != origin_other"],
        ["other_type == other_unknown", "other_type == other_unsupported", "other_type == other_broadcast",
         "other_type == other_error", "other_type != other_remote", "origin == origin_other", "origin == origin_unknown",
         "tunnel_type", "tunnel_type == tunnel_gtp"],
    ),
    "other constants": (
        PEER,
        ["other_type == other_unknown", "!other_type", "origin == origin_other", "origin", "tunnel_type == tunnel_gtp",
         "tunnel_type"],
        ["other_type", "origin == origin_local", "tunnel_type == tunnel_none", "!origin"],
    ),
    "constants of what is not there": (
        BARE,
        ["other_type == other_unknown", "!other_type", "origin == origin_unknown", "!origin", "origin != origin_local"],
        ["origin", "origin == origin_other", "other_type != other_unknown"],
    ),
    "a side": (VIDEO, ["side == side_lan", "side", "side != side_wan"], ["side == side_wan", "!side", "side == side_unknown"]),
    "the other side": (
        VIDEO | {"internal": False}, ["side == side_wan", "side"], ["side == side_lan", "!side", "side == side_unknown"],
    ),
    "no side": (VIDEO | {"internal": None}, ["side == side_unknown", "!side"], ["side", "side != side_unknown"]),
    "multicast": (NEW, ["other_type == other_multicast", "other_type"], ["other_type == other_remote"]),
    "risks": (
        VIDEO,
        ["risks", "risks == 46", "risks == 3", "risks != 47", "ndpi_risk_score == 110", "ndpi_risk_client == 95",
         "ndpi_risk_score_client > 94", "ndpi_risk_server == 15", "ndpi_risk_score_server <= 15", "ndpi_risk_score"],
        ["!risks", "risks == 47", "risks != 46", "risks != 3", "ndpi_risk_score < 110", "!ndpi_risk_server"],
    ),
    "no risks": (PEER, ["!risks", "risks != 46", "!ndpi_risk_client"], ["risks", "risks == 46", "risks == 0"]),
    "interfaces": (
        PEER,
        ["interface == 'pppoe-wan'", "iface == 'pppoe-wan'", "iface == 'rx:^PPPOE'", "iface != 'br-lan'", "interface",
         "!iface_nfq_src", "!iface_nfq_dst"],
        ["iface == 'PPPoE-wan'", "iface == 'pppoe'", "iface != 'rx:wan'", "!iface", "iface_nfq_src == 'br-lan'"],
    ),
    "interfaces of version 5": (
        NEW,
        ["iface_nfq_src == 'br-guest'", "iface_nfq_dst == 'wan0'", "iface_nfq_src", "iface_nfq_dst != 'br-guest'",
         "iface_nfq_dst == 'rx:^wan[0-9]$'"],
        ["iface_nfq_src == 'wan0'", "!iface_nfq_dst", "iface_nfq_src != 'br-guest'"],
    ),
    "TLS and HTTP": (
        VIDEO,
        ["alpn == 'h3'", "alpn == 'h2'", "alpn == 'h3-29'", "alpn == 'rx:^h3-'", "alpn != 'http/1.1'", "alpn",
         "client_sni == 'www.youtube.com'", "server_cn == '*.google.com'", "issuer_dn == 'rx:google trust'",
         "subject_dn == 'cn=*.google.com'", "ja3 == 'CD08E31494F9531F560D64C695473DA9'", "ja4 == 'rx:^t13'",
         "user_agent == 'rx:mozilla'", "url == 'rx:/watch'", "url", "client_sni", "server_cn", "issuer_dn", "subject_dn",
         "ja3", "ja4", "user_agent", "alpn == 'h3' && alpn == 'h2'"],
        ["alpn == 'h'", "alpn != 'h3'", "alpn != 'rx:h3'", "!alpn", "client_sni == 'rx:google'", "!server_cn", "!url"],
    ),
    "no TLS and no HTTP": (
        PEER,
        ["!alpn", "!client_sni", "!server_cn", "!issuer_dn", "!subject_dn", "!ja3", "!ja4", "!user_agent", "!url", "!tags",
         "alpn != 'h3'", "alpn != 'rx:.'"],
        ["alpn == 'h3'", "alpn == 'rx:.*'", "ja3", "user_agent == 'rx:moz'"],
    ),
    "torrents and tags": (
        PEER,
        ["bt_info_hash", "bt_info_hash == '0123456789abcdef0123456789abcdef01234567'", "bt_info_hash == 'rx:^0123'"],
        ["!bt_info_hash", "bt_info_hash == '0123'"],
    ),
    "tags": (NEW, ["tags", "tags == 'guest-lan'", "tags == 'KIDS'", "tags == 'rx:^gue'", "tags != 'x'", "!bt_info_hash"],
             ["!tags", "tags == 'guest'", "tags != 'kids'"]),
    "logic": (
        VIDEO,
        ["*", " * ", "app && proto", "app AND proto", "app And proto and port", "!app || proto", "!app OR proto",
         "!app or port", "!(app == 'netflix')", "!(!app)", "(app)", "((app) && (proto))", "!app == 'netflix'",
         "!(port == 80 || port == 81)",
         # && before ||, whatever stands first
         "app || !app && !app", "!app && !app || app", "!(app && !app)", "(app || !app) && proto",
         "app=='youtube'&&port==443", "app\n ==\t'youtube'\n;", "port>=443&&port<=443", "ai:youtube && pi:quic || port == 1"],
        ["!app && app || !app", "(app || app) && !app", "!(app || !proto)", "app && !proto", "!(ai:youtube)"],
    ),
    "several statements": (
        VIDEO,
        ["app == 'netflix'; app == 'youtube';", "app == 'youtube'; app == 'netflix';", "!app; port == 443; !proto"],
        ["app == 'netflix'; port == 80;", "!app; !proto;"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MEANING)
def test_expressions_mean_what_is_written_of_them(name: str) -> None:
    """A policy would catch other flows than its author meant."""
    record, matching, others = MEANING[name]
    for texts, expected in ((matching, True), (others, False)):
        for text in texts:
            assert evaluator(text)(record) is expected, text


def test_every_name_has_a_meaning_that_is_stated_here() -> None:
    """An attribute, alias or constant could change its meaning and no test would notice."""
    texts = [text for _, matching, others in MEANING.values() for text in matching + others]
    stated = set(re.findall(r"\w+", " ".join(texts)))
    assert set(BY_NAME) <= stated
    assert set(CONSTANTS) <= stated
    assert set(COMPACT) <= stated


@pytest.mark.parametrize(
    ("record", "complete"),
    [
        (samples.flow(), True),
        (samples.flow(detection_guessed=True), False),
        (samples.as_v3(samples.flow()), True),
        (samples.as_v5(samples.flow()), False),
        (samples.as_v5(samples.flow(), "flow_dpi_update"), False),
        (samples.as_v5(samples.flow(), "flow_dpi_complete"), True),
        (samples.as_v5(samples.flow(detection_guessed=True), "flow_dpi_complete"), True),
    ],
)
def test_detection_is_complete_when_the_agent_says_so(record: dict[str, Any], complete: bool) -> None:
    """A rule that waits for the end of detection would act on guesses of 4.x or never with 5.x."""
    assert evaluator("detection_complete;")(record) is complete


def test_records_of_every_version_answer_alike() -> None:
    """An upgrade of the agent would change which flows match."""
    old = samples.flow("HTTP/S", "netify.netflix", host_server_name="www.netflix.com")
    third = samples.as_v3(old)
    third["flow"]["detected_application_name"] = "netify.netflix"  # as `stream.records` gives it
    for record in (old, third, samples.as_v5(old)):
        for text in ("app == 'netflix'", "app_id == 133", "proto == 'http/s'", "detected_hostname == 'rx:netflix'", "origin"):
            assert evaluator(text)(record), text


def test_long_lists_and_deep_nesting_still_work() -> None:
    """A generated block list of thousands of names would not compile."""
    names = " || ".join(f"app == 'netify.app-{number}'" for number in range(1500))
    match = evaluator(names + " || app == 'youtube';")
    assert match(VIDEO)
    assert not match(PEER)
    statements = evaluator("".join(f"detected_hostname == 'host-{number}.example';" for number in range(1000)))
    assert not statements(VIDEO)
    deep = "port != 443"
    for _ in range(50):
        deep = f"!({deep})"
    assert not evaluator(deep + ";")(VIDEO)
    deep = "app"
    for _ in range(50):
        deep = f"({deep} && port != 80 || !proto)"
    assert evaluator(deep + ";")(VIDEO)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("app == 'youtube'", [("the expression does not end with ';'", 16)]),
        ("app == 'youtube';\nport == 443  ", [("the expression does not end with ';'", 29)]),
        ("*", []),
        ("!ai:youtube", []),
        ("ai:youtube;pi:quic", []),
        ("app && port || proto;", [("'&&' and '||' are mixed without parentheses", 0)]),
        ("!port;\n app || port && proto || ip;", [("'&&' and '||' are mixed without parentheses", 8)]),
        ("app || port && proto;", []),  # 4.4 reads this one the same way
        ("(app && port) || proto;", []),
        ("app && (port || proto);", []),
        ("app == 'youtub';", [("unknown application 'youtub'", 7)]),
        ("port == 1; proto == 'bittorent';", [("unknown protocol 'bittorent'", 20)]),
        ("app == 'youtube' || app == 'netify.youtube';", []),
        ("app && other_port == 65536;", [("'other_port == 65536' matches no flow: the largest possible value is 65535", 21)]),
        ("port > 65535;", [("'port > 65535' matches no flow: the largest possible value is 65535", 7)]),
        ("port <= 65536 && port != 70000 && ip_protocol == 255 && local_port >= 65535 && fwmark == 70000;", []),
    ],
)
def test_doubtful_texts_are_accepted_with_a_warning(text: str, expected: list[tuple[str, int]]) -> None:
    """A user would not learn that netifyd 4.4 reads the text differently, or that a name is misspelled."""
    nodes, errors, warnings = understood(text)
    assert nodes
    assert not errors
    assert len(warnings) == len(expected), warnings
    for (_code, message, offset, _hint), (beginning, where) in zip(warnings, expected, strict=True):
        assert message.startswith(beginning)
        assert offset == where


def test_a_tree_knows_its_own_text() -> None:
    """`nfa explain` would show half of what the user wrote."""
    for text in ("(app && port) || ip_nat", "!(!app)", "!(app == 'x' || port == 1)", "app && (port || (ip))"):
        assert understood(text + ";")[0][0].source == text


def test_a_text_of_nothing_matches_nothing() -> None:
    """An empty criteria list would match every flow."""
    for text in ("", "  \n\t"):
        assert understood(text) == ([], [], [])
        assert not evaluator(text)(VIDEO)
