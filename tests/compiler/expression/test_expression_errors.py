"""What a user is told of a text that is no expression: what is wrong, where exactly, and what to write instead."""

from __future__ import annotations

import pytest
from expression_both import understood

from nfa.compiler.expression.grammar import MAX_DEPTH, MAX_LENGTH

# (text with «what the caret points at», beginning of the message, part of the hint)
WRONG = [
    # names
    ("«ap» == 'youtube';", "unknown attribute 'ap'", "did you mean 'app'"),
    ("«APP» == 'x';", "unknown attribute 'APP'", "did you mean 'app'"),
    ("«origin_local»;", "unknown attribute 'origin_local'", "this is a value"),
    ("ip == «@guest»;", "unknown address group or device '@guest'", "did you mean 'guests'?"),
    ("mac == «@x»;", "unknown address group or device '@x'", "no group or device has a similar name"),
    ("local_ip == «@table»;", "unknown address group or device '@table'", "did you mean 'tablet'?"),
    ("device == «'table'»;", "unknown device 'table'", "did you mean 'tablet'?"),
    ("device == «'guests'»;", "unknown device 'guests'", "it is an address group: write ip == @guests"),
    ("device == «tablet»;", "expected a device or group of devices", "write 'tablet' in single quotes"),
    ("device == «'rx:tab'»;", "'device' expects a device or group of devices", ""),
    ("device == «192.168.4.20»;", "'device' expects a device or group of devices", ""),
    ("other_mac == «@broken»;", "the device 'broken' cannot be used", "its error is reported"),
    # values that do not fit
    ("«app» > 5;", "'app' cannot be compared with '>'", "use == or !="),
    ("«detected_hostname» >= 'a';", "'detected_hostname' cannot be compared with '>='", "use == or !="),
    ("app == «youtube»;", "expected a tag in single quotes", "write 'youtube' in single quotes"),
    ("app == «true»;", "'app' expects a tag in single quotes", ""),
    ("app == «'rx:a'»;", "'app' expects a tag in single quotes", ""),
    ("ip == «'printer'»;", "'ip' expects an IP address, a CIDR, a range a-b or an @group, found a string", ""),
    ("ip == «192.0.2.9-192.0.2.1»;", "the range ends before it begins", "did you mean 192.0.2.1-192.0.2.9?"),
    ("ip == «'192.0.2.9-2001:db8::1'»;", "the range begins with an address of one IP version", ""),
    ("ip == «192.0.2.1-192.0.2»;", "expected an IP address", ""),
    ("ip == «192.0.2.0/24-192.0.3.0/24»;", "expected an IP address", ""),
    ("ip == «192.0.2»;", "expected an IP address", ""),
    ("ip == «192.0.2.256»;", "expected an IP address", ""),
    ("ip == «10.0.0.0/33»;", "expected an IP address", ""),
    ("ip == «2001:db8::/129»;", "expected an IP address", ""),
    ("ip == «02:00:5e:10:00:14»;", "'ip' expects an IP address, a CIDR, a range a-b or an @group, found a MAC address", ""),
    ("mac == «02:00:5e:10:00»;", "expected a MAC address", ""),
    ("mac == «192.0.2.1»;", "'mac' expects a MAC address or an @group, found an IP address", ""),
    ("port == «'https'»;", "'port' expects a number (443 or 0x1bb), found a string", ""),
    ("port == «https»;", "expected a number (443 or 0x1bb), found 'https'", ""),
    ("port == «0X1bb»;", "expected a number (443 or 0x1bb), found '0X1bb'", ""),
    ("port == «" + "9" * 21 + "»;", "expected a number", ""),
    ("fwmark == «-1»;", "expected a number", ""),
    ("ip_nat == «1»;", "'ip_nat' expects true or false, found a number", ""),
    ("ip_nat == «'yes'»;", "'ip_nat' expects true or false, found a string", ""),
    ("other_type == «other_remot»;", "'other_remot' is not a value of 'other_type'", "did you mean 'other_remote'"),
    ("other_type == «origin_local»;", "'origin_local' is not a value of 'other_type'", "other_local"),
    ("tunnel_type == «zzz»;", "'zzz' is not a value of 'tunnel_type'", "tunnel_none, tunnel_gtp"),
    ("origin == «'local'»;", "'origin' expects origin_local or origin_other or origin_unknown, found a string", ""),
    # quotes
    ('app == «""»;', "an empty string", "'!application' matches flows that have none"),
    ("app == «''»;", "an empty string", "'!application' matches flows that have none"),
    ("app == «'»youtube;", "this quote is never closed", "put strings between two single quotes"),
    ("app == 'a'«b»';", "expected '&&', '||' or ';', found 'b'", ""),
    # patterns
    ("url == «'rx:'»;", "an empty regular expression", ""),
    ("url == 'rx:a«(»';", "regular expression: not a valid regular expression: missing )", ""),
    ("url == 'rx:(a+)«\\»1';", "regular expression: back-references are not supported", ""),
    # grammar
    ("app «=» 'x';", "expected '&&', '||' or ';', found '='", "a comparison is written '=='"),
    ("app ==«=» 'x';", "expected a value, found '='", "the operator is '=='"),
    ("app «&» port;", "expected '&&', '||' or ';', found '&'", "did you mean '&&'?"),
    ("app «|» port;", "expected '&&', '||' or ';', found '|'", "did you mean '||'?"),
    ("app ==«;»", "expected a value, found the end", ""),
    ("(app || port«;»", "expected ')', found the end", ""),
    ("app«)»;", "expected '&&', '||' or ';', found ')'", ""),
    ("app &&«;»", "expected an attribute, '!' or '(', found the end", ""),
    ("«&&» app;", "expected an attribute, '!', '(' or '*', found '&&'", ""),
    ("!«!»app;", "expected an attribute, '!' or '(', found '!'", ""),
    ("app and «or» port;", "expected an attribute, '!' or '(', found 'or'", ""),
    ("* «&&» app;", "expected '&&', '||' or ';', found '&&'", ""),
    ("not «app»;", "expected '&&', '||' or ';', found 'app'", ""),
    ("port == 80 or «443»;", "expected an attribute, '!' or '(', found '443'", ""),
    ("«;»", "an empty expression before ';'", ""),
    ("app; «;»", "an empty expression before ';'", ""),
    # limits
    ("(" * MAX_DEPTH + "«(»app" + ")" * (MAX_DEPTH + 1) + ";", "an expression may be at most 50 parentheses deep", ""),
    ("«a»pp" + " " * MAX_LENGTH + ";", "an expression may be at most 65536 characters long", ""),
]  # fmt: skip


UNKNOWN = [
    ("category == «'game'»;", "unknown category 'game'", "did you mean 'games'?"),
    ("«ac:gamez»", "unknown category 'gamez'", "did you mean 'games'?"),
    ("!«pc:webb»", "unknown category 'webb'", "'web'"),
    ("port == 1;\nrisks == «'clear-text credential'»;", "unknown risk 'clear-text credential'", ""),
    ("app == «'netify.youtub'»;", "unknown application 'netify.youtub'", "did you mean 'youtube'?"),
    ("app != «'nosuchthing'»;", "unknown application 'nosuchthing'", ""),
    ("!(app == «'nosuchthing'» || port == 1);", "unknown application 'nosuchthing'", ""),
    ("proto == «'quicc'»;", "unknown protocol 'quicc'", "did you mean 'quic'?"),
]  # fmt: skip


@pytest.mark.parametrize(("marked", "message", "hint"), UNKNOWN, ids=[marked[:40] for marked, _, _ in UNKNOWN])
def test_an_unknown_name_is_a_warning_with_its_place(marked: str, message: str, hint: str) -> None:
    """Names come and go with signatures: one that is gone would take the whole rule along."""
    text = marked.replace("«", "").replace("»", "")
    nodes, errors, [(_, told, offset, said)] = understood(text)
    assert nodes and not errors
    assert (told, offset) == (message, marked.index("«")) and hint in said


@pytest.mark.parametrize(("marked", "message", "hint"), WRONG, ids=[marked[:40] for marked, _, _ in WRONG])
def test_an_error_says_what_where_and_how(marked: str, message: str, hint: str) -> None:
    """A user would look for a mistake at the wrong place, or not know what to write instead."""
    start, end = marked.index("«"), marked.index("»")
    text = marked.replace("«", "").replace("»", "")
    _, errors, _ = understood(text)
    assert len(errors) == 1
    error = errors[0]
    assert error.message.startswith(message)
    assert hint in error.hint
    assert error.offset == start
    assert error.length == end - start - 1


def test_the_limits_themselves_are_allowed() -> None:
    """A long generated expression would be refused below the documented limit."""
    assert not understood("(" * MAX_DEPTH + "app" + ")" * MAX_DEPTH + ";")[1]
    assert not understood("app" + " " * (MAX_LENGTH - 3) + ";")[1]


def test_good_statements_survive_bad_ones() -> None:
    """One slip in a long list would silently drop the other rules from the report."""
    text = "app == 'youtube';\nap;\nport == 443;\nip == x;\n;proto"
    nodes, errors, warnings = understood(text)
    assert [node.source for node in nodes] == ["app == 'youtube'", "port == 443", "proto"]
    assert [(error.offset, text[error.offset : error.offset + error.length]) for error in errors] == [
        (text.index("ap;"), "ap"),
        (text.index("x;"), "x"),
        (text.index(";proto"), ";"),
    ]
    assert len(warnings) == 1


def test_quotes_hide_what_would_end_a_statement() -> None:
    """A URL with a ';' or a pattern with parentheses would be cut in two."""
    nodes, errors, _ = understood("url == 'a;b'; url == 'rx:^(a|b);$'; detected_hostname == '((((';")
    assert not errors
    assert len(nodes) == 3


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("app == 'zoom';", "wrong-attribute", "it is a protocol: protocol == 'zoom'"),
        ("app == 'netify.WhatsApp';", "wrong-attribute", "it is a protocol: protocol == 'whatsapp'"),
        ("!ai:steam", "wrong-attribute", "it is a protocol: pi:steam"),
        ("protocol == 'youtube';", "wrong-attribute", "it is an application: application == 'youtube'"),
        ("app == 'games';", "wrong-attribute",
         "it is a category of applications: category == 'games', and a category of protocols: protocol_category == 'games'"),
        ("pi:social-media", "wrong-attribute", "it is a category of applications: ac:social-media"),
        ("app == 'vpn' && port == 443;", "wrong-attribute", "it is a category of protocols: protocol_category == 'vpn'"),
        ("category == 'zoom';", "unknown-category", "it is a protocol: protocol == 'zoom'"),
        ("category == 'vpn';", "unknown-category", "it is a category of protocols: protocol_category == 'vpn'"),
        ("protocol_category == 'cdn';", "unknown-category", "it is a category of applications: category == 'cdn'"),
        ("dom_category == 'youtube';", "unknown-category", "it is an application: application == 'youtube'"),
        ("app == 'spotify' || protocol == 'spotify';", "", ""),
        # Agents with Netify's full list have an application Zoom; both spellings together are right for all of them.
        ("app == 'zoom' || protocol == 'zoom';", "", ""),
    ],
)  # fmt: skip
def test_a_name_that_another_attribute_has_is_told_with_the_right_spelling(text: str, code: str, hint: str) -> None:
    """`app == 'steam'` matched none of 55 flows of Steam, and nobody said why."""
    _, errors, warnings = understood(text)
    found = [(error.code, error.hint, error.offset) for error in errors] + [(each[0], each[3], each[2]) for each in warnings]
    if not code:
        assert not found
        return
    ((given, told, offset),) = found
    assert given == code
    assert told.startswith(hint)
    assert text[offset:].startswith(("'", "ai:", "pi:"))
