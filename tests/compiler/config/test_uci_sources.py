"""UCI and JSON together: which files are read, what comes before what, and what is said of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nfa.cli import main
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports
from nfa.compiler.config.model import Policy
from nfa.compiler.config.sources import Sources, load, read_main
from nfa.daemon.base import allowed

Capture = pytest.CaptureFixture[str]

UCI = """\
config action 'both'
	list criteria 'ai:uci'
	list target 'l'

config target 'l'
	option target_type 'log'
	option prefix 'own'

config target_default 'log'
	option prefix 'uci'
	option suffix '.uci'
"""
JSON: dict[str, Any] = {
    "version": 1,
    "actions": {
        "both": {"criteria": "ai:json", "targets": "l", "priority": 5},
        "json": {"criteria": "*", "targets": "j"},
    },
    "targets": {"l": {"target_type": "log", "interval": 7}, "j": {"target_type": "log"}},
    "target_defaults": {"log": {"prefix": "json", "suffix": ".json", "interval": 5}},
    "exemptions": ["10.0.0.1"],
}


class Router:
    """A machine: UCI's folder, netifyd's folder with the default JSON file in it, and other files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config"
        self.config.mkdir()
        self.package = self.config / "netify-proc-flow-actions"
        self.default = folder / "netify-proc-flow-actions.json"
        self.paths = Paths(str(folder), str(folder))
        self.reports = Reports()

    def uci(self, text: str = UCI) -> None:
        self.package.write_text(text)

    def json(self, name: str = "netify-proc-flow-actions.json", **changes: Any) -> str:
        file = self.folder / name
        file.write_text(json.dumps(JSON | changes))
        return str(file)

    def load(self, *files: str, uci: bool = True, required: bool = False) -> Policy | None:
        self.reports = Reports()
        return load(Sources(str(self.config) if uci else None, required, files), self.paths, self.reports)

    def good(self, *files: str, uci: bool = True) -> Policy:
        policy = self.load(*files, uci=uci)
        assert policy and not self.reports.errors, [report.text() for report in self.reports.errors]
        return policy

    def told(self) -> list[str]:
        return [report.text().split("\n")[0] for report in self.reports.items]


@pytest.fixture
def router(tmp_path: Path) -> Router:
    return Router(tmp_path)


# -- what comes before what ----------------------------------------------------------------------------------------------


def test_uci_comes_before_json_and_both_places_are_told(router: Router) -> None:
    """Who changes an action in LuCI would wonder why nothing happens, or which of two files counts."""
    router.uci()
    file = router.json()
    policy = router.good()
    assert {action.name: [text.value for text in action.criteria] for action in policy.actions} == {
        "json": ["*"],
        "both": ["ai:uci"],
    }
    assert policy.actions[1].priority == 100
    assert policy.files == [file, str(router.package)]
    place = "netify-proc-flow-actions.{} (line {}): warning: {} '{}' is also defined at {}:1:{}. This definition is used"
    text = Path(file).read_text()
    target, action = text.index('"l": {') + 2, text.index('"both"') + 2
    assert router.told() == [
        place.format("l", 5, "target", "l", file, target),
        place.format("both", 1, "action", "both", file, action),
    ]


def test_defaults_come_from_target_then_uci_then_json_then_the_program(router: Router) -> None:
    """A default in JSON would undo what the target or UCI says."""
    router.uci()
    router.json()
    policy = router.good()
    assert policy.targets["l"].options == {
        "prefix": "own", "suffix": ".uci", "interval": 5, "path": "/tmp", "max_files": 1000, "max_bytes": 4 << 20,
    }  # fmt: skip
    assert policy.targets["j"].options == {
        "prefix": "uci", "suffix": ".uci", "interval": 5, "path": "/tmp", "max_files": 1000, "max_bytes": 4 << 20,
    }  # fmt: skip


def test_exemptions_of_both_add_up(router: Router) -> None:
    """A host that JSON spares would be blocked as soon as UCI names one, too."""
    router.uci(UCI + "config exemption 'global'\n\tlist exemption '10.0.0.2'\n")
    router.json()
    assert [text.value for text in router.good().exemptions] == ["10.0.0.1", "10.0.0.2"]


def test_globals_of_uci_come_before_those_of_json(router: Router) -> None:
    """The time zone that UCI sets would be undone by a file that nobody remembers."""
    router.uci(UCI + "config nfa 'main'\n\toption timezone 'EST5EDT'\n")
    router.json(timezone="UTC0", reprocess_flows=True)
    policy = router.good()
    assert (policy.timezone, policy.reprocess_flows) == ("EST5EDT", True)
    assert (policy.main["timezone"], policy.main["reprocess_flows"]) == ("EST5EDT", True)


def test_an_action_of_json_may_name_parts_of_uci(router: Router) -> None:
    """Targets and lists would have to be written twice."""
    router.uci(
        "config target 'u'\n\toption target_type 'log'\nconfig exemption 'printers'\n\tlist exemption '10.0.0.7'\n"
        "config time_of_day 'night'\n\toption time_start '22:00'\n"
    )
    router.json(actions={"a": {"criteria": "*", "targets": ["u", "j"], "exemptions": ["printers"], "time_of_day": "night"}})
    (action,) = router.good().actions
    assert action.targets == ["u", "j"]
    assert [text.value for text in action.exemptions] == ["10.0.0.7"]
    assert [window.start for window in action.time_of_day] == [22 * 3600]


def test_a_broken_action_of_uci_does_not_bring_back_that_of_json(router: Router) -> None:
    """A typo in UCI would put an old rule in force again."""
    router.uci(UCI.replace("list target 'l'", "list target 'x'"))
    router.json()
    policy = router.load()
    assert policy
    assert [action.name for action in policy.actions if not action.broken] == ["json"]


# -- which files are read ------------------------------------------------------------------------------------------------


def test_uci_alone_is_enough(router: Router) -> None:
    """A router without the JSON file would have no policy."""
    router.uci()
    assert router.good().files == [str(router.package)]
    assert not router.told()


def test_json_alone_is_enough(router: Router) -> None:
    """A machine without UCI would have no policy."""
    file = router.json()
    assert router.good().files == [file]
    assert router.good(uci=False).files == [file]


def test_without_any_configuration_both_places_are_named(router: Router) -> None:
    """The user would not know where to begin."""
    assert router.load() is None
    assert router.told() == [
        f"error: there is no configuration: neither {router.package} nor {router.default} exists."
        " Create one, or name a JSON file with -c FILE"
    ]
    assert router.load(uci=False) is None
    assert f"{router.default} does not exist" in router.told()[0]


def test_a_folder_that_the_user_names_must_hold_the_package(router: Router) -> None:
    """A typo after -u would look like a router without UCI."""
    router.json()
    assert router.load(required=True) is None
    assert router.told()[0].startswith(f"{router.package}: error: cannot read")


def test_json_config_names_the_json_files(router: Router) -> None:
    """The option would do nothing."""
    router.json()
    other = router.json("other.json", actions={})
    third = router.json("third.json", actions={})
    main_ = "config nfa 'main'\n\t"
    router.uci(UCI + main_ + f"option json_config '{other}'\n")
    assert router.good().files == [other, str(router.package)]
    router.uci(UCI + main_ + f"list json_config '{other}'\n\tlist json_config '{third}'\n")
    assert router.good().files == [other, third, str(router.package)]
    router.uci(UCI + main_ + "option json_config '${path_state_persistent}/other.json'\n")
    assert router.good().files == [other, str(router.package)]
    router.uci(UCI + main_ + "option json_config 'none'\n")
    assert router.good().files == [str(router.package)]


def test_a_folder_of_json_files_stands_for_them_in_the_order_of_their_names(router: Router) -> None:
    """A package that brings a policy of its own could only add it by changing the user's configuration."""
    folder = router.folder / "nfa.d"
    folder.mkdir()
    for name in ("20-b.json", "10-a.json", ".hidden.json", "30-c.json.bak"):
        router.json(f"nfa.d/{name}")
    files = [str(folder / "10-a.json"), str(folder / "20-b.json")]
    router.uci(UCI + f"config nfa 'main'\n\toption json_config '{folder}'\n")
    assert router.good().files == [*files, str(router.package)]
    assert router.good(str(folder), uci=False).files == files
    # The folder itself is watched for files that come and go.
    assert {str(folder), *files} <= router.paths.looked_at.keys()


def test_a_folder_without_json_files_is_told(router: Router) -> None:
    router.uci(UCI + f"config nfa 'main'\n\toption json_config '{router.config}'\n")
    assert router.good().files == [str(router.package)]
    assert f"{router.config}: warning: the folder contains no file whose name ends in .json" in router.told()
    assert router.load(str(router.config), uci=False) is None
    assert f"error: there is no configuration: there is no JSON file in {router.config}. Create one" in router.told()[-1]


def test_a_file_that_json_config_names_must_be_there(router: Router) -> None:
    """A typo in the path would silently leave out a part of the policy."""
    for missing in (f"{router.folder}/missing.json", str(router.default)):
        router.uci(UCI + f"config nfa 'main'\n\toption json_config '{missing}'\n")
        assert router.load() is None
        assert router.told()[0].startswith(f"{missing}: error: cannot read")


def test_files_of_the_command_line_replace_json_config(router: Router) -> None:
    """-c would add to files that the user wants to leave out."""
    router.json()
    other = router.json("other.json", actions={})
    router.uci(UCI + f"config nfa 'main'\n\toption json_config '{router.default}'\n")
    assert router.good(other).files == [other, str(router.package)]
    assert router.good(other, uci=False).files == [other]


@pytest.mark.parametrize("broken", ["uci", "json"])
def test_when_one_file_cannot_be_used_none_is(router: Router, broken: str) -> None:
    """Half a policy would come into force, perhaps the half without the exemptions."""
    router.uci("option\n" if broken == "uci" else UCI)
    router.json()
    if broken == "json":
        router.default.write_text("{")
    assert router.load() is None
    assert len(router.reports.errors) == 1


def test_a_default_json_that_cannot_be_read_is_not_passed_over(router: Router) -> None:
    """A link that leads nowhere would silently leave out a part of the policy."""
    router.uci()
    router.default.symlink_to("/nonexistent")
    assert router.load() is None


def test_the_json_files_to_watch(router: Router) -> None:
    """A change of a file of the configuration, or one that appears, would not be noticed."""

    def watched(*files: str) -> list[str]:
        router.paths = Paths(str(router.folder), str(router.folder))
        router.load(*files)
        return [path for path in router.paths.looked_at if path != allowed.FILE]

    uci, default = str(router.package), str(router.default)
    assert watched() == [uci, default]
    router.uci(UCI + "config nfa 'main'\n\tlist json_config '/a.json'\n\tlist json_config '/b.json'\n")
    assert watched() == [uci, "/a.json", "/b.json"]
    assert watched("c.json") == [uci, "c.json"]
    router.uci("broken")
    assert watched() == [uci]


def test_main_is_read_before_the_policy(router: Router) -> None:
    """The daemon would listen on one control socket, and `nfa status` ask on another."""
    sources, reports = Sources(str(router.config)), Reports()
    assert read_main(sources, router.paths, reports)["control"] == "/var/run/nfa/control.sock"
    router.uci("config nfa 'main'\n\toption control '/tmp/x.sock'\n\toption source 'nonsense'\n")
    values = read_main(sources, router.paths, reports)
    assert (values["control"], values["source"]) == ("/tmp/x.sock", "unix:///var/run/netifyd/netifyd.sock")
    assert len(reports.errors) == 1
    router.uci("broken")
    assert read_main(sources, router.paths, Reports())["control"] == "/var/run/nfa/control.sock"


# -- the commands --------------------------------------------------------------------------------------------------------


@pytest.fixture
def check(router: Router, capsys: Capture) -> Callable[..., dict[str, Any]]:
    """`nfa check --json` with netifyd's folder of the router."""

    def run(*arguments: str, code: int = 0) -> dict[str, Any]:
        assert main(["check", "--json", "--state-dir", str(router.folder), *arguments]) == code
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return run


def test_commands_choose_the_sources(router: Router, check: Callable[..., dict[str, Any]]) -> None:
    """-u, --no-uci and -c would not do what their help says."""
    router.uci()
    router.json()
    other = router.json("other.json", actions={})
    folder = str(router.config)
    assert check("-u", folder)["files"] == [str(router.default), str(router.package)]
    assert check("-u", os.path.relpath(folder))["files"] == [str(router.default), str(router.package)]
    assert check("-u", folder, "-c", other)["files"] == [other, str(router.package)]
    assert check("-u", folder, other)["files"] == [other, str(router.package)]
    assert check("--no-uci")["files"] == [str(router.default)]
    assert check("--no-uci", "-c", other)["files"] == [other]
    report = check("-u", folder)["reports"][0]
    place = {"file": str(router.package), "line": 5, "column": 16, "option": "netify-proc-flow-actions.l"}
    parts = {"package": "netify-proc-flow-actions", "section": "l", "property": "", "pointer": ""}
    assert report["place"] == place | parts | {"text": "netify-proc-flow-actions.l (line 5)"}


def test_without_an_option_the_folder_of_openwrt_is_read(
    router: Router, check: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`nfa check` on a router would need an option that nobody knows of."""
    monkeypatch.setattr("nfa.cli.common.UCI_FOLDER", str(router.config))
    router.json()
    assert check()["files"] == [str(router.default)]
    router.uci()
    assert check()["files"] == [str(router.default), str(router.package)]


def test_a_folder_and_no_folder_is_wrong_usage(capsys: Capture) -> None:
    """One of the two would be ignored."""
    with pytest.raises(SystemExit) as caught:
        main(["check", "-u", "/etc/config", "--no-uci"])
    assert caught.value.code == 2


def started(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, Any]:
    """The settings that `nfa run` passes to the daemon."""
    passed: list[list[str]] = []
    monkeypatch.setattr(os, "execve", lambda program, command, environment: passed.append(command))
    main(["run", *arguments])
    settings: dict[str, Any] = json.loads(passed[0][-1])
    return settings


def test_the_daemon_is_told_what_the_command_line_says(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option of UCI would come before the command line, or the daemon compile other files than were named."""
    router.uci(f"config nfa 'main'\n\toption control '{router.folder}/uci.sock'\n")
    folder, control = str(router.config), f"{router.folder}/uci.sock"
    settings = started(monkeypatch, "-u", folder)
    chosen = {"source": "", "files": [], "uci": folder, "uci_required": True, "state": "", "log_level": "notice"}
    assert settings == settings | chosen
    assert settings["control"] == control
    settings = started(monkeypatch, "-u", folder, "-v", "-s", "tcp://10.0.0.2:7150", "--control", "/tmp/c.sock", "-c", "x.json")
    assert settings == settings | {
        "source": "tcp://10.0.0.2:7150",
        "files": [os.path.abspath("x.json")],
        "control": "/tmp/c.sock",
        "log_level": "debug",
    }
    assert started(monkeypatch, "--no-uci")["uci"] == ""
    assert started(monkeypatch)["uci_required"] is False


def test_a_wrong_source_is_wrong_usage(capsys: Capture) -> None:
    """A daemon that can never connect would run."""
    assert main(["run", "--no-uci", "-s", "netifyd.sock"]) == 2
    assert "a source is unix://PATH or tcp://ADDRESS:PORT" in capsys.readouterr().err


def test_a_policy_in_the_folder_of_netifyd_that_is_not_read_is_told(router: Router) -> None:
    router.uci()
    router.paths = Paths("/srv/netifyd", str(router.folder), unused="/etc/netify.d")
    router.load()
    assert router.told()[0] == (
        "/etc/netify.d: warning: there is a policy, or address groups, in '/srv/netifyd' too. "
        "Keep them in one of the two folders. This folder is not read"
    )


# -- what a user may take for a configuration ----------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["-c", "-u"])
def test_a_file_of_uci_where_another_is_expected_is_recognised(router: Router, option: str, capsys: Capture) -> None:
    """`nfa check /etc/config/netify-proc-flow-actions` would be answered with errors of JSON."""
    router.uci("# mine\n\n" + UCI)
    assert main(["check", option, str(router.package), *(["--no-uci"] if option == "-c" else [])]) == 1
    told = capsys.readouterr().out
    expected = {
        "-c": "error: this is a UCI file, not JSON. Run 'nfa check' to check /etc/config, or name the folder",
        "-u": f"error: this is a file, not a folder of UCI packages. Name its folder: -u {router.config}.",
    }
    assert told.startswith(f"{router.package}: {expected[option]}") and "1 error" in told


def test_check_warns_of_uncommitted_changes(router: Router, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """What `uci show` prints would not be what is checked."""
    router.uci()
    monkeypatch.setattr("nfa.cli.common.UCI_FOLDER", str(router.config))
    monkeypatch.setattr("nfa.cli.check.UCI_FOLDER", str(router.config))
    monkeypatch.setattr("nfa.compiler.config.uciconfig.CHANGES", str(router.folder))
    arguments = ["check", "-q", "--state-dir", str(router.folder)]
    changes = router.folder / "netify-proc-flow-actions"
    changes.touch()
    main(arguments)
    assert "uncommitted" not in capsys.readouterr().out
    changes.write_text("netify-proc-flow-actions.main.enabled='1'\n")
    main(arguments)
    hint = "Commit them: uci commit netify-proc-flow-actions. They are not used"
    assert f"{changes}: warning: there are uncommitted changes. {hint}" in capsys.readouterr().out


def test_check_says_that_the_service_is_disabled(router: Router, capsys: Capture) -> None:
    """All is well, says the check, and yet nothing happens."""
    for value, last in (("0", "the service is disabled: service nfa start does nothing."), ("1", "0 errors, ")):
        router.uci(UCI + f"config nfa 'main'\n\toption enabled '{value}'\n")
        main(["check", "-u", str(router.config), "--state-dir", str(router.folder)])
        assert capsys.readouterr().out.splitlines()[-1].startswith(last)
