"""Sinks and channels: what UCI and Netify's own files say, and what is said of slips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nfa.cli import main
from nfa.compiler.assemble import image_of
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports
from nfa.compiler.base.secrets import SECRET_NAMES, SECRET_OPTIONS
from nfa.compiler.compile import understand_policy
from nfa.compiler.config.channel_options import CHANNEL_OPTIONS
from nfa.compiler.config.features import inactive_code
from nfa.compiler.config.model import Policy, Target
from nfa.compiler.config.options import DEFAULT_CONTROL, NOTICE_OPTIONS
from nfa.compiler.config.sources import Sources, load
from nfa.image import cpython as image

ACTION = "config action 'a'\n\toption criteria '*'\n\tlist target 't'\n"


def uci(target: str = "", *sections: str) -> str:
    """A package with an action and a sink target; sections as `TYPE NAME`, then `OPTION VALUE` lines."""
    text = ACTION + "config target 't'\n\toption target_type 'sink'\n"
    text += "".join(f"\toption {line}\n" for line in target.splitlines())
    for section in sections:
        head, *lines = section.splitlines()
        text += f"config {head}\n" + "".join(f"\t{line if line.startswith('list ') else 'option ' + line}\n" for line in lines)
    return text


def loaded(folder: Path, text: str, paths: Paths | None = None, **files: Any) -> tuple[Policy, Reports]:
    """Load a package; `files` are Netify's, by the kind of sink."""
    (folder / "netify-proc-flow-actions").write_text(text)
    for kind, body in files.items():
        (folder / f"netify-sink-{kind}.json").write_text(body if isinstance(body, str) else json.dumps(body))
    reports = Reports()
    policy = load(Sources(str(folder), True), paths or Paths(str(folder), str(folder)), reports)
    assert policy is not None
    return policy, reports


def good(folder: Path, text: str, **files: Any) -> dict[str, Any]:
    """What the image says of the target's channel."""
    policy, reports = loaded(folder, text, **files)
    assert not [report.text() for report in reports.items]
    assert inactive_code(policy.actions[0], policy) == ""
    compiled = understand_policy(policy, Paths(str(folder), str(folder)), reports, look=False)
    data: Any = image.load(image.dump(image_of(compiled)))
    return dict(data["targets"][0]["channel"])


def bad(folder: Path, text: str, **files: Any) -> tuple[str, Target]:
    """The only finding, an error, and the target, which no flow reaches."""
    policy, reports = loaded(folder, text, **files)
    [report] = reports.items
    assert report.severity == "error", report.text()
    assert policy.targets["t"].trouble and inactive_code(policy.actions[0], policy) == "target-unusable"
    return report.text(), policy.targets["t"]


UCI = {
    "socket": ("type socket\nlisten unix:///run/x.sock\nmode 0660", "unix", {"listen": "unix:///run/x.sock", "mode": 0o660}),
    "tcp": ("type socket\nlisten tcp://[::1]:7160", "tcp", {"listen": "tcp://[::1]:7160", "mode": 0o600}),
    "udp": ("type socket\nlisten udp://collector.lan:9000", "udp", {"listen": "udp://collector.lan:9000", "mode": 0o600}),
    "log": (
        "type log\npath /tmp/x\nprefix e-\ninterval 5\noverwrite 1\nmax_files 7", "log",
        {"path": "/tmp/x", "prefix": "e-", "interval": 5, "overwrite": True, "max_files": 7, "max_bytes": 4 << 20},
    ),
    "ubus": ("type ubus", "ubus", {"event": "nfa.flow"}),
    "http": (
        "type http\nurl https://h.example:8443/a?b=1\nlist headers 'X-A: 1'\nlist headers 'X-B: 2'", "http",
        {
            "host": "h.example", "port": 8443, "tls": True, "path": "/a?b=1", "authority": "h.example:8443", "batch": 100,
            "headers": (("X-A", "1"), ("X-B", "2")), "interval": 1, "timeout_connect": 30, "timeout_transfer": 300,
        },
    ),
    "mqtt": (
        "type mqtt\nbroker 192.168.1.2\nqos 0\nusername u\npassword p", "mqtt",
        {
            "host": "192.168.1.2", "port": 1883, "tls": False, "topic": "netify/flow-actions", "qos": 0, "retain": False,
            "username": "u", "password": "p", "client_id": "", "timeout_connect": 30,
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UCI)
def test_a_sink_of_uci_may_say_all_itself(tmp_path: Path, name: str) -> None:
    """Who has one channel would have to write two sections for it."""
    section, kind, options = UCI[name]
    found = good(tmp_path, uci("sink out", f"sink out\n{section}"))
    shape = {"format": "json", "compressor": "none", "header": False}
    assert found == {"sink": "out", "channel": "flow-actions", "kind": kind, "options": options, **shape}


@pytest.mark.parametrize("address", ["[::]", "0.0.0.0", "192.168.1.1"])
def test_a_socket_that_others_can_reach_is_a_warning(tmp_path: Path, address: str) -> None:
    """Each guest of the network could read where everybody goes, and nobody would have thought of it."""
    policy, reports = loaded(tmp_path, uci("sink out", f"sink out\ntype socket\nlisten tcp://{address}:7160"))
    assert [report.severity for report in reports.items] == ["warning"] and policy.targets["t"].channel
    assert "anyone who can connect sees all flows" in reports.items[0].text() and "line 7" in reports.items[0].text()


@pytest.mark.parametrize(
    ("path", "whose"),
    [
        ("/var/run/netifyd/netifyd.sock", "netifyd's socket"),
        ("/var/run/../run/netifyd//netifyd.sock", "netifyd's socket"),
        (DEFAULT_CONTROL, "nfa's control socket"),
        ("/var/run/ubus/ubus.sock", "ubusd's socket"),
    ],
)
def test_a_sink_cannot_listen_where_others_do(tmp_path: Path, path: str, whose: str) -> None:
    """Started first, the daemon would take netifyd's own place, and wait for itself."""
    policy, reports = loaded(tmp_path, uci("sink out", f"sink out\ntype socket\nlisten unix://{path}"))
    assert whose in reports.errors[0].text() and policy.targets["t"].trouble and not policy.targets["t"].channel


def test_a_channel_says_it_before_its_sink_and_dashes_are_underscores(tmp_path: Path) -> None:
    """UCI cannot write the names that Netify's examples have."""
    found = good(
        tmp_path,
        uci(
            "sink sink-mqtt\nchannel flow-actions\nformat msgpack\ncompressor gz",
            "sink sink_mqtt\ntype mqtt\nbroker mqtts://b.example\ntopic a/${channel}/b\nqos 0",
            "channel flow_actions\nsink sink_mqtt\nqos 1",
            "channel other\nsink sink_mqtt\ntopic x",
            "channel stray\nsink nobody",
        ),
    )
    options = found["options"]
    assert (options["topic"], options["qos"], options["port"], options["tls"]) == ("a/flow-actions/b", 1, 8883, True)
    assert (found["format"], found["compressor"]) == ("msgpack", "gz")


NETIFY: dict[str, tuple[Any, dict[str, Any]]] = {
    "log": (
        {"overwrite": False, "log_path": "/tmp",
         "channels": {"flow-actions": {"overwrite": True, "log_path": "/tmp/n", "log_name": "netify-"}}},
        {"path": "/tmp/n", "prefix": "netify-", "overwrite": True, "interval": 60, "max_files": 1000,
         "max_bytes": 4 << 20},
    ),
    "socket": (
        {"$schema": "x", "default_port": 8080, "channels": {
            "flow-actions": {"enable": True, "bind_address": "tcp://127.0.0.1"}, "other": {"bind_address": "ws://x:1"}}},
        {"listen": "tcp://127.0.0.1:8080", "mode": 0o600},
    ),
    "http": (
        {"timeout_connect": 5, "timeout_transfer": 7, "channels": {
            "flow-actions": {"url": "http://[2001:db8::1]/v1/${uuid_agent}", "headers": {"X-UUID": "${uuid_agent}"}}}},
        {"host": "2001:db8::1", "port": 80, "tls": False, "path": "/v1/A1-B2", "authority": "[2001:db8::1]",
         "headers": (("X-UUID", "A1-B2"),), "batch": 100, "interval": 1, "timeout_connect": 5, "timeout_transfer": 7},
    ),
    "mqtt": (
        {"host": "b.example", "port": 8883, "user": "u", "pass": "p", "topic": "n/${uuid_agent}/${channel}",
         "message_qos": 2, "message_retain": True},
        {"host": "b.example", "port": 8883, "tls": True, "topic": "n/A1-B2/flow-actions", "qos": 1, "retain": True,
         "username": "u", "password": "p", "client_id": "", "timeout_connect": 30},
    ),
    "ubus": ({"channels": {"flow-actions": {"path": "netify.metadata", "function": "publish"}}}, {"event": "netify.metadata"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", NETIFY)
def test_netifys_own_files_are_understood(tmp_path: Path, kind: str) -> None:
    """Who comes from Netify's plugin would have to write everything again."""
    body, options = NETIFY[kind]
    (tmp_path / "agent.uuid").write_text("A1-B2\n")
    found = good(tmp_path, uci(f"sink sink-{kind}"), **{kind: body})
    assert found["options"] == options and found["channel"] == "flow-actions"


def test_a_sink_has_the_name_that_netifys_loader_gives_it(tmp_path: Path) -> None:
    """The name of Netify's documentation is that of a section in plugins.d."""
    loaders = tmp_path / "plugins.d"
    loaders.mkdir()
    (loaders / "10-netify-sink-log.conf").write_text(
        "[elsewhere]\nenable = yes\nplugin_library = /usr/lib/libnetify-sink-log.so.0.0.0\n"
        "conf_filename = ${path_state_persistent}/mine.json\n[broken\nconf_filename = ${nothing}/x\n"
    )
    (tmp_path / "mine.json").write_text('{"channels": {"c": {"log_name": "mine-"}}}')
    assert good(tmp_path, uci("sink elsewhere\nchannel c"))["options"]["prefix"] == "mine-"


def test_uci_comes_before_netifys_file(tmp_path: Path) -> None:
    found = good(tmp_path, uci("sink sink-log", "sink sink_log\ntype log\nprefix uci-"), log={"log_path": "/netify"})
    assert found["options"]["prefix"] == "uci-" and found["options"]["path"] == "/tmp"


SLIPS = {
    "no such sink": ("sink sink-sokcet", (), "names the sink 'sink-sokcet', which does not exist. Did you mean 'sink-socket'"),
    "no file": ("sink sink-mqtt", (), "netify-sink-mqtt.json, or a UCI section 'sink'"),
    "no such channel": (
        "sink o\nchannel flwo", ("sink o\ntype log", "channel flow\nsink o"),
        "which sink 'o' does not have. Did you mean 'flow'?",
    ),
    "type": ("sink o", ("sink o\ntype htpt",), "unknown type 'htpt'. Did you mean 'http'?"),
    "no type": ("sink o", ("sink o\nurl http://x",), "no 'type'. Known: log, socket, ubus, http, mqtt"),
    "url": ("sink o", ("sink o\ntype http\nurl example.org/x",), "expected a URL"),
    "url with a password": ("sink o", ("sink o\ntype http\nurl http://u:p@example.org/x",), "expected a URL"),
    "no url": ("sink o", ("sink o\ntype http",), "has no 'url'"),
    "header": ("sink o", ("sink o\ntype http\nurl http://x\nlist headers 'Host: y'",), "nfa sets the header Host itself"),
    "broker": ("sink o", ("sink o\ntype mqtt\nbroker mqt://x",), "expected a broker"),
    "password alone": ("sink o", ("sink o\ntype mqtt\nbroker x\npassword p",), "'password' without a 'username'"),
    "topic": ("sink o", ("sink o\ntype mqtt\nbroker x\ntopic 'a/#'",), "expected a topic without + and #"),
    "websocket": ("sink o", ("sink o\ntype socket\nlisten ws://0.0.0.0:80",), "WebSockets are not supported"),
    "name to listen on": ("sink o", ("sink o\ntype socket\nlisten tcp://router.lan:80",), "tcp://0.0.0.0:PORT"),
    "no port": ("sink o", ("sink o\ntype socket\nlisten tcp://0.0.0.0",), "has no port in 'listen'"),
    "long path": ("sink o", (f"sink o\ntype socket\nlisten unix:///{'x' * 107}",), "at most 107 bytes"),
    "mode": ("sink o", ("sink o\ntype socket\nlisten unix:///run/x\nmode 999",), "expected file permissions in octal"),
    "event": ("sink o", ("sink o\ntype ubus\nevent 'a b'",), "expected an event name"),
    "uuid": ("sink o", ("sink o\ntype mqtt\nbroker x\ntopic a/${uuid_agent}",), "'${uuid_agent}' has no value"),
    "property": ("sink o", ("sink o\ntype log\nprefxi x",), "unknown property 'prefxi'. Did you mean 'prefix'?"),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in SLIPS if name != "property"])
def test_a_slip_is_an_error_with_its_place_and_the_nearest_name(tmp_path: Path, name: str) -> None:
    target, sections, words = SLIPS[name]
    text, _ = bad(tmp_path, uci(target, *sections))
    assert words in text
    assert "No flow reaches the target" in text or "The sink is not used" in text
    assert text.startswith("netify-proc-flow-actions."), text


def test_an_unknown_property_is_a_warning(tmp_path: Path) -> None:
    target, sections, words = SLIPS["property"]
    _, reports = loaded(tmp_path, uci(target, *sections))
    [report] = reports.warnings
    assert words in report.text()


@pytest.mark.parametrize(
    "body", ["", "[]", '{"channels": {"flow-actions": ', '{"channels": {"x": {"bind_address": "unix:///run/x"}}}']
)
def test_a_file_of_netify_that_cannot_be_used_is_told(tmp_path: Path, body: str) -> None:
    policy, reports = loaded(tmp_path, uci("sink sink-socket"), socket=body)
    assert reports.errors and policy.targets["t"].trouble
    text = "".join(report.text() for report in reports.errors)
    assert "netify-sink-socket.json" in text or "does not have" in text


def test_a_channel_that_is_switched_off_is_a_warning(tmp_path: Path) -> None:
    policy, reports = loaded(tmp_path, uci("sink o", "sink o\ntype log\nenable 0"))
    assert "is disabled" in reports.warnings[0].text() and policy.targets["t"].trouble


def test_targets_of_one_channel_must_agree_on_its_form(tmp_path: Path) -> None:
    """A reader would find JSON and MessagePack in one stream."""
    second = "target u\ntarget_type sink\nsink o\nheader 1"
    policy, reports = loaded(tmp_path, uci("sink o", second, "sink o\ntype log"))
    assert "sends through the same channel as 't', but differs in header" in reports.errors[0].text()
    assert policy.targets["t"].channel and policy.targets["u"].trouble
    listening = "type socket\nlisten unix:///run/x"
    second = "target u\ntarget_type sink\nsink p"
    policy, reports = loaded(tmp_path, uci("sink o", second, f"sink o\n{listening}", f"sink p\n{listening}"))
    assert "listens on unix:///run/x, which the channel of 't' already uses" in reports.errors[0].text()


def test_of_a_disabled_target_nothing_is_wanted(tmp_path: Path) -> None:
    """Netify's sample has disabled targets with sinks that nobody has."""
    _, reports = loaded(tmp_path, uci("sink nowhere\ntarget_enabled 0"))
    assert not reports.errors


def test_netifys_files_are_looked_at_for_changes(tmp_path: Path) -> None:
    """Whoever corrects netify-sink-socket.json would have to know that a reload is needed."""
    file = str(tmp_path / "netify-sink-socket.json")
    for made in ({}, {"socket": "{}"}):
        paths = Paths(str(tmp_path), str(tmp_path))
        loaded(tmp_path, uci("sink sink-socket"), paths, **made)
        assert paths.looked_at[file] == image.stamp(file)
    assert paths.looked_at[file]


SECRETS = {
    "header without a colon": ("h", "list headers 'Authorization Bearer S3CR3T'"),
    "header twice": ("h", "list headers 'X: S3CR3T'\n\tlist headers 'Host: S3CR3T'"),
    "header of two lines": ("h", "list headers 'X: S3CR3T\nS3CR3T'"),
    "header without quotes": ("h", "list headers S3CR3T: S3CR3T"),
    "section twice": ("h", "list headers 'X: S3CR3T'\nconfig sink o\n\tlist headers 'X: S3CR3T'"),
    "password of two lines": ("m", "option password 'S3CR3T\nS3CR3T'"),
    "password in a list": ("m", "list password S3CR3T\n\tlist password S3CR3T2"),
    "password with a blank": ("m", "option password x S3CR3T"),
    "password with a quote": ("m", "option password 'it's S3CR3T'\n\toption topic 'a'"),
    "password with a semicolon": ("m", "option password x;S3CR3T"),
    "password with a hash": ("m", "option password S3CR3T#S3CR3T"),
    "password twice": ("m", "option pass S3CR3T\n\toption password S3CR3T2\n\toption password S3CR3T3"),
    "misspelt": ("m", "option passwort 'S3CR3T'"),
    "in the URL": ("h", "option url 'http://me:S3CR3T@example.org/'"),
    "in the broker": ("m", "option broker 'mqtt://me:S3CR3T@example.org/'"),
    "not UTF-8": ("m", "option password 'S3CR3T\udce9'"),
    "unknown variable": ("h", "list headers 'X: S3CR3T ${uuid_agent}'"),
}


@pytest.mark.parametrize("name", SECRETS)
def test_no_finding_tells_a_secret_of_uci(tmp_path: Path, name: str) -> None:
    """Findings go to the log, which goes to a server, or into a question in a forum."""
    kind, lines = SECRETS[name]
    head = "type http\n\toption url http://x" if kind == "h" else "type mqtt\n\toption broker b\n\toption username me"
    text = uci("sink o") + f"config sink o\n\toption {head}\n\t{lines}\n"
    (tmp_path / "netify-proc-flow-actions").write_text(text, errors="surrogateescape")
    reports = Reports()
    load(Sources(str(tmp_path), True), Paths(str(tmp_path), str(tmp_path)), reports)
    told = "".join(report.text() for report in reports.items)
    assert reports.items and "S3CR3T" not in told, told


SECRETS_OF_JSON = {
    "wrong type": '{"host": "b", "pass": ["S3CR3T", "S3CR3T"]}',
    "beside another slip": '{"host": "b", "prot": 1, "pass": "S3CR3T"}',
    "no quotes": '{"host": "b",\n "pass":\n S3CR3T}',
    "a quote inside": '{"host": "b", "pass":\n "x"S3CR3T", "user": "u"}',
    "no comma": '{"host": "b", "pass": "x"\n "S3CR3T" "user"}',
    "misspelt": '{"host": "b", "passwd": "S3CR3T"}',
    "not UTF-8": '{"host": "b", "pass":\n "S3CR3T\udce9"}',
    "headers": '{"channels": {"flow-actions": {"url": "http://h/", "headers": {\n"X": "a\u0001S3CR3T"}}}}',
    "a header twice": '{"channels": {"flow-actions": {"url": "http://h/", "headers": {\n"X": "S3CR3T", "X": "S3CR3T"}}}}',
    "a header's name": '{"channels": {"flow-actions": {"url": "http://h/", "headers": {\n"X Y": "S3CR3T"}}}}',
    "headers broken": '{"channels": {"flow-actions": {"url": "http://h/", "headers": {\n"X": "x",\n"Y" "S3CR3T"}}}}',
}


@pytest.mark.parametrize("name", SECRETS_OF_JSON)
def test_no_finding_tells_a_secret_of_netifys_files(tmp_path: Path, name: str) -> None:
    kind = "http" if "header" in name else "mqtt"
    (tmp_path / f"netify-sink-{kind}.json").write_bytes(SECRETS_OF_JSON[name].encode(errors="surrogateescape"))
    _, reports = loaded(tmp_path, uci(f"sink sink-{kind}"))
    told = "".join(report.text() for report in reports.items)
    assert reports.items and "S3CR3T" not in told, told


def test_every_name_of_a_secret_option_is_known_as_one() -> None:
    tables = (*CHANNEL_OPTIONS.values(), NOTICE_OPTIONS)
    names = {name for options in tables for option in options if option.name in SECRET_OPTIONS
             for name in (option.name, *option.aliases)}  # fmt: skip
    assert names == set(SECRET_NAMES)


def test_a_password_may_have_any_letter(tmp_path: Path) -> None:
    """Who has an umlaut in a password would have to change it."""
    mqtt = "type mqtt\nbroker b\nusername ümit\npassword 'geheim é 密'"
    assert good(tmp_path, uci("sink o", f"sink o\n{mqtt}"))["options"]["password"] == "geheim é 密"
    http = "type http\nurl http://x\nlist headers 'X-Key: geheim é'"
    assert good(tmp_path, uci("sink o", f"sink o\n{http}"))["options"]["headers"] == (("X-Key", "geheim é"),)


def test_passwords_and_headers_are_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`nfa check --show` is what users post when they ask for help."""
    second = "target u\ntarget_type sink\nsink h"
    text = uci("sink m", second, "sink m\ntype mqtt\nbroker b\nusername me\npassword s3cret",
               "channel flow_actions\nsink h\nlist headers 'X: other'",
               "sink h\ntype http\nurl http://x\nlist headers 'Authorization: s3cret'")  # fmt: skip
    (tmp_path / "netify-proc-flow-actions").write_text(text)
    for more in ([], ["--json"]):
        assert main(["check", "-u", str(tmp_path), "--state-dir", str(tmp_path), "--show", *more]) == 0
        out = capsys.readouterr().out
        assert "s3cret" not in out and "(hidden)" in out and "broker" in out


def test_one_slip_is_one_error_that_names_it(tmp_path: Path) -> None:
    """A broken file was also "does not exist", and a misspelt bind_address "has no 'listen'"."""
    _, reports = loaded(tmp_path, uci("sink sink-socket"), socket="[]")
    assert [report.message for report in reports.errors] == ["the file of sink 'sink-socket' is not a JSON object"]
    channel = {"channels": {"flow-actions": {"bind_adress": "tcp://127.0.0.1:7"}}}
    _, reports = loaded(tmp_path, uci("sink sink-socket"), socket=channel)
    assert "has no 'listen'. You wrote 'bind_adress': did you mean 'bind_address'?" in reports.errors[0].text()
    _, reports = loaded(tmp_path, uci("sink mine", "sink mine\ntype file"))
    assert "unknown type 'file'. Did you mean 'log'?" in reports.errors[0].text()
