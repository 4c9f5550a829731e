"""The service: /etc/init.d/nfa under busybox's shell, with a stand-in of rc.common always, with OpenWrt's own where it is."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import openwrt_root
import pytest
from openwrt_root import ROOT, Router

INIT = ROOT / "files/etc/init.d/nfa"
PACKAGE = "netify-proc-flow-actions"
ENABLED = "config nfa 'main'\n\toption enabled '1'\n"
DISABLED = "config nfa 'main'\n\toption enabled '0'\n"

# What rc.common and procd.sh give to a script, noted a line each. $result is of the validation, $enabled stands in the file.
STAND_IN = """\
action=$2
for name in procd_open_instance procd_close_instance procd_set_param procd_add_jail procd_add_reload_trigger \
		procd_add_validation procd_send_signal; do
	eval "$name() { echo $name \\"\\$*\\"; }"
done
for name in chgrp chmod chown mkdir killall; do
	eval "$name() { echo $name \\"\\$*\\"; }"
done
logger() { echo "logger $*"; }
ubus() { [ -n "$daemon_is_on_ubus" ]; }
uci() { [ "$*" != '-q get /etc/config/netify-proc-flow-actions.main.enabled' ] || echo "$enabled"; }
get_bool() { echo "${1:-$2}"; }
uci_load_validate() {
	echo "validate $1 $2 $3"
	[ -z "$4" ] || "$4" "$3" "$result"
}
. "$1"
ACCOUNTS=$accounts UJAIL=$ujail CAPABILITIES=$1 NETWORK=$network SHARED_NETWORK=$shared
start() { start_service; service_started; }
case "$2" in
triggers) service_triggers ;;
reload) reload_service ;;
*) start ;;
esac
"""

needs_ash = pytest.mark.skipif(not shutil.which("busybox"), reason="there is no busybox")


def stand_in(folder: Path, action: str, **variables: str) -> tuple[list[str], str]:
    """Run an action; return what was called, and what was told on the terminal."""
    script = folder / "rc"
    script.write_text(STAND_IN)
    command = ["busybox", "ash", str(script), str(INIT), action]
    given = {"enabled": "1", "result": "0", "daemon_is_on_ubus": "", "accounts": "", "ujail": ""} | variables
    given = {"network": "/nowhere", "shared": str(folder / "shared")} | given
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **given})
    return done.stdout.splitlines(), done.stderr


# -- with the stand-in ---------------------------------------------------------------------------------------------------


@needs_ash
def test_an_enabled_service_is_one_instance_that_procd_keeps_alive(tmp_path: Path) -> None:
    calls, told = stand_in(tmp_path, "start")
    assert calls[0] == f"validate {PACKAGE} nfa main"
    assert "procd_set_param command /usr/bin/nfa run" in calls
    assert "procd_set_param respawn 3600 5 0" in calls
    assert {"procd_set_param stdout 1", "procd_set_param stderr 1"} <= set(calls), "its messages would be lost"
    assert calls.count("procd_open_instance ") == calls.count("procd_close_instance ") == 1
    assert not told


@needs_ash
@pytest.mark.parametrize(
    ("source", "socket"),
    [("", "/var/run/netifyd/netifyd.sock"), ("unix:///var/run/netifyd/nfa.sock", "/var/run/netifyd/nfa.sock")],
)
def test_with_ujail_the_daemon_is_a_user_of_its_own(tmp_path: Path, source: str, socket: str) -> None:
    """As root it would read and write whatever a configuration names."""
    accounts = tmp_path / "passwd"
    accounts.write_text("root:x:0:0::/root:/bin/ash\nnfa:x:7150:7150:nfa:/var/run/nfa:/bin/false\n")
    calls, _ = stand_in(tmp_path, "start", accounts=str(accounts), ujail="/bin/sh", source=source)
    daemon, helper = " ; ".join(calls).split("procd_close_instance")[:2]
    for call in ("procd_add_jail nfa", "procd_set_param user nfa", "procd_set_param group nfa", "no_new_privs 1"):
        assert call in daemon
    assert "mkdir -p /var/run/nfa" in daemon and "chown nfa:nfa /var/run/nfa" in daemon
    assert f"procd_set_param command /usr/libexec/nfa-sockets {socket}" in helper and "user" not in helper


def test_the_service_shares_the_packages_that_the_compiler_reads() -> None:
    """Warnings would be missing that a daemon as root has: of offloading, of marks that others use, of the time zone."""
    from nfa.compiler.config.marks import _PACKAGES

    (line,) = [line for line in INIT.read_text().splitlines() if "for name in" in line]
    shared = set(line.split(" in ")[1].removesuffix("; do").split())
    assert shared == {'"$CONFIG"', "system", *_PACKAGES}


NETWORK = """\
config interface 'wan2'
	option device 'eth2'
	option proto 'pppoe'
	option username 'me'
	option password 'a secret'
	option ip4table '7701'

config interface 'vpn'
	option proto "wireguard"
	option private_key 'a secret'
	list addresses '10.0.0.1/24'

config wireguard_vpn
	option preshared_key 'a secret'

config rule 'nfa_wan2'
	option mark '0x4000/0xc000'
	option lookup '7701'
"""


@needs_ash
def test_of_the_networks_the_daemon_gets_what_routes_need_and_no_secret(tmp_path: Path) -> None:
    """A daemon that is taken over would know the keys of the VPN; or a route on a router would be a mystery to it."""
    from nfa.compiler.base.paths import Paths
    from nfa.compiler.config import network

    accounts = tmp_path / "passwd"
    accounts.write_text("nfa:x:7150:7150:nfa:/var/run/nfa:/bin/false\n")
    (tmp_path / "network").write_text(NETWORK)
    given = {"accounts": str(accounts), "ujail": "/bin/sh", "network": str(tmp_path / "network")}
    calls, _ = stand_in(tmp_path, "start", **given)
    shared = tmp_path / "shared"
    assert f"chgrp nfa {shared}" in calls and f"chmod 640 {shared}" in calls
    text = shared.read_text()
    assert "secret" not in text and "10.0.0.1" not in text and "username" not in text
    (tmp_path / "config").mkdir()
    shared.rename(tmp_path / "config" / "network")
    paths = Paths(str(tmp_path), str(tmp_path))
    theirs, ours = (network.read(str(tmp_path / folder), paths) for folder in (".", "config"))
    assert theirs is not None and ours is not None
    assert (ours.rules, ours.tables) == (theirs.rules, theirs.tables)
    assert {name: one.device for name, one in ours.interfaces.items()} == {"wan2": "pppoe-wan2", "vpn": "vpn"}


@needs_ash
@pytest.mark.parametrize("lacking", ["accounts", "ujail"])
def test_without_ujail_or_its_user_the_daemon_runs_as_root(tmp_path: Path, lacking: str) -> None:
    """procd alone gives no capability to a user: no set could be filled."""
    accounts = tmp_path / "passwd"
    accounts.write_text("nfa:x:7150:7150:nfa:/var/run/nfa:/bin/false\n")
    given = {"accounts": str(accounts), "ujail": "/bin/sh"} | {lacking: ""}
    calls, _ = stand_in(tmp_path, "start", **given)
    assert "procd_set_param command /usr/bin/nfa run" in calls
    assert not any("jail" in call or "user" in call or "nfa-sockets" in call for call in calls)


@needs_ash
def test_a_socket_of_netifyd_is_given_to_the_group_whenever_it_is_made_anew(tmp_path: Path) -> None:
    """netifyd makes it for root alone. Of no other socket is anything changed: a page chooses the option source."""
    notes = tmp_path / "notes"
    program = f"""
chgrp() {{ echo "chgrp $*" >>{notes}; }}
chmod() {{ echo "chmod $*" >>{notes}; }}
ls() {{ cat {tmp_path}/listed; }}
test_socket() {{ true; }}
sleep() {{
    [ -e {tmp_path}/again ] || exit 0
    rm {tmp_path}/again
    echo 'srwxrwxr-x 1 root nfa 0 netifyd.sock' >{tmp_path}/listed
}}
"""
    script = (ROOT / "files/usr/libexec/nfa-sockets").read_text().replace('[ -S "$1" ]', "test_socket")
    (tmp_path / "script").write_text(program + script)

    def run(socket: str) -> str:
        notes.write_text("")
        (tmp_path / "again").touch()
        (tmp_path / "listed").write_text("srwxr-xr-x    1 root     root             0 Jan  1 00:00 netifyd.sock\n")
        subprocess.run(["busybox", "ash", str(tmp_path / "script"), socket], check=True, timeout=60)
        return notes.read_text()

    socket = "/var/run/netifyd/netifyd.sock"
    assert run(socket) == f"chgrp nfa {socket}\nchmod g+w {socket}\n", "once for each socket that is made"
    for other in (
        "/var/run/ubus/ubus.sock",
        f"{socket}/../../u.sock",
        "/var/run/netifyd/x/y.sock",
        "tcp://1.2.3.4:5",
        "",
    ):
        assert run(other) == ""


@needs_ash
def test_a_disabled_service_says_how_to_enable_it_and_starts_nothing(tmp_path: Path) -> None:
    calls, told = stand_in(tmp_path, "start", enabled="0")
    assert not any("procd" in call for call in calls)
    logged = [call for call in calls if call.startswith("logger")]
    for text in (told, *logged):
        assert f"uci set {PACKAGE}.main.enabled=1; uci commit {PACKAGE}; service nfa start" in text
    assert len(logged) == 1


@needs_ash
def test_what_cannot_be_read_is_left_to_the_daemon_which_names_the_line(tmp_path: Path) -> None:
    """Without a configuration file, too: a JSON file may be all there is."""
    calls, _ = stand_in(tmp_path, "start", enabled="", result="255")
    assert "procd_set_param command /usr/bin/nfa run" in calls


@needs_ash
@pytest.mark.parametrize("action", ["start", "reload"])
def test_a_daemon_that_runs_is_told_once_to_read_its_configuration_again(tmp_path: Path, action: str) -> None:
    calls, _ = stand_in(tmp_path, action, daemon_is_on_ubus="yes")
    assert [call for call in calls if "signal" in call] == ["procd_send_signal nfa"]
    assert not any("reload_signal" in call or "set_param file" in call for call in calls), "procd would signal a second time"


@needs_ash
@pytest.mark.parametrize(("action", "running"), [("start", ""), ("reload", ""), ("restart", "yes")])
def test_no_signal_reaches_a_daemon_that_is_only_just_starting(tmp_path: Path, action: str, running: str) -> None:
    """Python ends on SIGHUP until the daemon is ready for it. On a restart, it is the old one that is still on the bus."""
    calls, _ = stand_in(tmp_path, action, daemon_is_on_ubus=running)
    assert not any("signal" in call for call in calls)


@needs_ash
def test_no_signal_reaches_a_daemon_that_is_ending_because_it_was_disabled(tmp_path: Path) -> None:
    """It would be ended by the signal before it had emptied the sets that it is to empty."""
    calls, _ = stand_in(tmp_path, "reload", daemon_is_on_ubus="yes", enabled="0")
    assert not any("signal" in call for call in calls)


@needs_ash
def test_a_change_of_the_configuration_reloads(tmp_path: Path) -> None:
    calls, _ = stand_in(tmp_path, "triggers")
    assert calls == [f"procd_add_reload_trigger {PACKAGE} network", "procd_add_validation validate_main"]


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="there is no shellcheck")
@pytest.mark.parametrize(
    "script",
    [
        INIT,
        ROOT / "files/usr/libexec/nfa-sockets",
        *sorted((ROOT / "files/etc/uci-defaults").iterdir()),
        *ROOT.glob("test.sh"),
        *ROOT.glob("feeds/*/test.sh"),
    ],
    ids=lambda script: str(script.relative_to(ROOT)),
)
def test_shellcheck_finds_nothing_in_the_scripts(script: Path) -> None:
    done = subprocess.run(["shellcheck", "-x", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert os.access(script, os.X_OK)


# -- with OpenWrt's own rc.common, procd.sh and validate_data ------------------------------------------------------------


@pytest.fixture
def router(tmp_path: Path) -> Router:
    reason = openwrt_root.missing()
    if reason:
        pytest.skip(reason)
    return openwrt_root.make(tmp_path / "root")


TRIGGERS = [
    ["config.change", ["if", ["eq", "package", package], ["run_script", "/etc/init.d/nfa", "reload"]], 1000]
    for package in (PACKAGE, "network")
]


def test_procd_gets_the_instance_its_trigger_and_the_rules_of_validation(router: Router) -> None:
    router.configure(ENABLED)
    router.service("start")
    (request,) = router.procd("set")
    (rules,) = request.pop("validate")
    assert request == {
        "name": "nfa",
        "script": "/etc/init.d/nfa",
        "instances": {
            "instance1": {
                "command": ["/usr/bin/nfa", "run"],
                "respawn": ["3600", "5", "0"],
                "term_timeout": 10,
                "stdout": True,
                "stderr": True,
            }
        },
        "triggers": TRIGGERS,
    }
    assert (rules["package"], rules["type"]) == (PACKAGE, "nfa")
    assert not router.procd("signal")


def test_the_rules_of_validation_are_about_the_options_that_the_service_has(router: Router) -> None:
    from nfa.compiler.config.options import MAIN_OPTIONS

    router.service("start")
    rules = router.procd("set")[0]["validate"][0]["data"]
    assert set(rules) == {option.name for option in MAIN_OPTIONS}
    assert rules["log_level"].startswith("or(")


def test_with_ujail_the_daemon_has_the_capabilities_of_its_file_and_no_more(router: Router) -> None:
    router.configure(ENABLED)
    router.write("sbin/ujail", "", 0o755)
    router.write("etc/passwd", "nfa:x:7150:7150:nfa:/var/run/nfa:/bin/false\n")
    router.write("etc/group", "nfa:x:7150:\n")
    router.service("start")
    instance = router.procd("set")[0]["instances"]["instance1"]
    assert instance["capabilities"] == "/etc/capabilities/nfa.json"
    assert instance["no_new_privs"] is True
    assert (instance["user"], instance["group"]) == ("nfa", "nfa")
    # Mounts would put it into namespaces of its own, where netifyd's socket and the configuration are not.
    assert instance["jail"] == {"name": "nfa", "mount": {}}


@pytest.mark.parametrize("word", ["0", "off", "no", "false", "disabled", "No", "OFF"])
def test_every_spelling_of_no_disables(router: Router, word: str) -> None:
    router.configure(f"config nfa 'main'\n\toption enabled '{word}'\n")
    done = router.service("start")
    (request,) = router.procd("set")
    assert request["instances"] == {}
    # The triggers stay: it starts when somebody enables it with LuCI.
    assert request["triggers"] == TRIGGERS
    assert f"uci set {PACKAGE}.main.enabled=1" in done.stderr
    assert "disabled" in router.log


@pytest.mark.parametrize("text", [None, "", "config target 'x'\n", ENABLED + "confg wrong\n", "config nfa 'main'\n"])
def test_without_a_configuration_that_says_no_it_starts(router: Router, text: str | None) -> None:
    if text is not None:
        router.configure(text)
    router.service("start")
    assert list(router.procd("set")[0]["instances"]) == ["instance1"]


def test_a_wrong_option_is_named_and_does_not_keep_it_from_starting(router: Router) -> None:
    router.configure(ENABLED + "\toption log_level 'loud'\n")
    done = router.service("start")
    assert "log_level=loud validates as or(" in done.stderr
    assert list(router.procd("set")[0]["instances"]) == ["instance1"]


def test_reload_signals_a_daemon_that_runs_and_changes_nothing_of_its_instance(router: Router) -> None:
    router.configure(ENABLED)
    router.service("start")
    before = router.procd("set")
    router.write("tmp/daemon-is-on-ubus", "")
    router.configure(ENABLED + "\toption source 'tcp://192.168.1.2:7150'\n\nconfig action 'x'\n")
    router.service("reload")
    assert router.procd("set") == before, "procd would restart it"
    assert router.procd("signal") == [{"name": "nfa"}]


def test_reload_stops_a_service_that_was_disabled(router: Router) -> None:
    router.configure(DISABLED)
    router.write("tmp/daemon-is-on-ubus", "")
    router.service("reload")
    assert router.procd("set")[0]["instances"] == {}
    assert not router.procd("signal")


def test_changes_that_are_not_committed_are_not_obeyed_and_that_is_said(router: Router) -> None:
    """The daemon does not see them; a user who forgot `uci commit` would look for the mistake elsewhere."""
    router.configure(DISABLED)
    assert router.run("/sbin/uci", "set", f"{PACKAGE}.main.enabled=1").returncode == 0
    for action in ("start", "reload"):
        done = router.service(action)
        assert router.procd("set")[0]["instances"] == {}
        for text in (done.stderr, router.log):
            assert f"uncommitted changes of {PACKAGE} are not used. To use them: uci commit {PACKAGE}" in text
    assert router.run("/sbin/uci", "commit", PACKAGE).returncode == 0
    assert "uncommitted" not in router.service("start").stderr
    assert list(router.procd("set")[0]["instances"]) == ["instance1"]


def test_restart_stops_and_starts_without_a_signal(router: Router) -> None:
    router.configure(ENABLED)
    router.write("tmp/daemon-is-on-ubus", "")
    router.service("restart")
    assert [line.split()[2] for line in router.requests if line.startswith("call service")] == ["delete", "set"]


def test_it_is_linked_into_the_boot_after_the_firewall_and_before_nothing_that_needs_it(router: Router) -> None:
    router.service("enable")
    assert sorted(link.name for link in (router.path / "etc/rc.d").iterdir()) == ["K40nfa", "S60nfa"]
