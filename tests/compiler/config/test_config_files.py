"""Files that a configuration names: expressions, folders, address groups, netifyd's own configuration."""

import errno
import ipaddress
import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from nfa.compiler.base.paths import PathError, Paths
from nfa.compiler.base.report import Place, Reports
from nfa.compiler.config.entries import MAX_SIZE, expand_entries
from nfa.compiler.config.groups import load_groups
from nfa.compiler.config.model import Text
from nfa.daemon.base import allowed

PLACE = Place("nfa.json", 4, 20)


def expand(entry: str, folder: Path) -> tuple[list[Text], Reports]:
    reports = Reports()
    return expand_entries([Text(entry, PLACE)], Paths(str(folder), str(folder)), reports)[0], reports


def test_expressions_stay_as_they_are(tmp_path: Path) -> None:
    """An expression would be taken for a file."""
    texts, reports = expand("app == '/x';", tmp_path)
    assert [text.value for text in texts] == ["app == '/x';"]
    assert not reports.items


def test_a_file_becomes_one_text_with_places_of_its_own(tmp_path: Path) -> None:
    """An error in a file of expressions would be reported at the line that names the file."""
    file = tmp_path / "games.conf"
    file.write_bytes(b"\xef\xbb\xbf# games\r\napp == 'a#b';\r\n\n  # more\n  app == 'c';\n")
    texts, reports = expand("${path_state_persistent}/games.conf", tmp_path)
    assert not reports.items
    (text,) = texts
    assert text.value.split() == ["app", "==", "'a#b';", "app", "==", "'c';"]
    assert str(text.at(text.value.index("'c'"))) == f"{file}:5:10"
    assert str(text.at(text.value.index("app"))) == f"{file}:2:1"


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    """The order of `ls` decides; hidden files are an editor's, folders are not followed."""
    for name in ("20-b", "10-a", ".swp"):
        (tmp_path / name).write_text(f"app == '{name}';")
    (tmp_path / "15-d").mkdir()
    texts, reports = expand(str(tmp_path), tmp_path)
    assert [text.value for text in texts] == ["app == '10-a';", "app == '20-b';"]
    assert not reports.items


def test_what_cannot_be_read_is_reported_where_it_is_named(tmp_path: Path) -> None:
    """A missing list of hosts would go unnoticed."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "large").write_bytes(b" " * (MAX_SIZE + 1))
    os.mkfifo(tmp_path / "fifo")
    for entry, message in [
        (str(tmp_path / "none"), "No such file or directory"),
        ("/nonexistent/x", "'/nonexistent/x' may not be read: it is not below"),
        ("/a\0b", "cannot read '/a\\x00b'"),
        (str(tmp_path / "empty"), "contains no files"),
        (str(tmp_path / "large"), "is larger than"),
        (str(tmp_path / "fifo"), "is not a regular file"),
        ("/dev/zero", "may not be read"),
    ]:
        texts, reports = expand(entry, tmp_path)
        assert not texts
        (report,) = reports.errors
        assert report.place == PLACE
        assert message in report.message
    texts, reports = expand("${path_state_persistant}/x", tmp_path)
    assert "path_state_persistent" in reports.errors[0].hint


def test_broken_utf8_is_reported_where_it_stands(tmp_path: Path) -> None:
    """The user would look for an invisible byte in a long file."""
    (tmp_path / "x").write_bytes(b"ok;\nab\xff")
    texts, reports = expand(str(tmp_path / "x"), tmp_path)
    assert not texts
    assert str(reports.errors[0].place) == f"{tmp_path}/x:2:3"
    assert "nfa.json:4:20" in reports.errors[0].message
    assert reports.errors[0].excerpt.endswith("  ^")


def test_a_file_of_comments_is_a_warning(tmp_path: Path) -> None:
    """A list that was commented out is no mistake, but the user should know it holds nothing."""
    (tmp_path / "x").write_text("# nothing\n")
    texts, reports = expand(str(tmp_path / "x"), tmp_path)
    assert not texts
    assert "contains no expression" in reports.warnings[0].message


def test_paths_come_from_netifyd(tmp_path: Path) -> None:
    """Files would be looked for in the wrong folder when netifyd was told to use another."""
    conf = tmp_path / "netifyd.conf"
    conf.write_text("[netifyd]\npath_state_persistent = /srv/netify/\n#path_state_volatile = /x\n")
    paths = Paths.read(str(conf))
    assert paths == Paths("/srv/netify", "/var/run/netifyd")
    assert paths.expand("${path_state_persistent}/a/${path_state_volatile}") == "/srv/netify/a//var/run/netifyd"
    assert Paths.read(str(conf), {"path_state_volatile": "/y"}).state_volatile == "/y"
    assert Paths.read(str(tmp_path / "missing")).state_volatile == "/var/run/netifyd"


@pytest.mark.parametrize(
    ("files", "chosen", "unused"),
    [
        ((), "new", ""),
        (("old/netify-apps.conf",), "old", ""),
        (("new/", "old/netify-apps.conf"), "old", ""),
        (("new/", "old/address-groups.d/10-kids.conf"), "old", ""),
        (("new/netify-proc-flow-actions.json", "old/netify-apps.conf"), "new", ""),
        (("new/netify-apps.conf", "old/netify-apps.conf"), "new", ""),
        (("new/address-groups.json", "old/netify-proc-flow-actions.json"), "new", "old"),
        (("old/other",), "old", ""),
    ],
)
def test_the_folder_of_netifyd_is_the_one_that_holds_something(
    files: tuple[str, ...], chosen: str, unused: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mkdir /etc/netifyd` would switch off the policy in /etc/netify.d, which OpenWrt's netifyd 4.4 uses, without a word."""
    monkeypatch.setattr("nfa.compiler.base.paths.FOLDERS", (str(tmp_path / "new"), str(tmp_path / "old")))
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    paths = Paths.read(str(tmp_path / "missing"))
    assert paths.state_persistent == str(tmp_path / chosen)
    assert paths.unused == (str(tmp_path / unused) if unused else "")


def test_a_relative_path_of_netifyd_is_reported(tmp_path: Path) -> None:
    """A root daemon would read files relative to wherever it was started."""
    conf = tmp_path / "netifyd.conf"
    conf.write_text("path_state_volatile = run\n")
    reports = Reports()
    assert Paths.read(str(conf), reports=reports).state_volatile == "/var/run/netifyd"
    assert str(reports.warnings[0].place) == f"{conf}:1:23"


@pytest.mark.parametrize("text", ["${path}/x", "${", "/a/${path_state_persistent"])
def test_unknown_variables_are_refused(text: str) -> None:
    """`${...}` would be taken for the name of a folder."""
    with pytest.raises(PathError) as caught:
        Paths().expand(text)
    assert caught.value.offset == text.index("${")


def test_address_groups_of_files_and_json(tmp_path: Path) -> None:
    """@kids would not know the addresses that netifyd knows."""
    folder = tmp_path / "address-groups.d"
    folder.mkdir()
    (folder / "10-kids.conf").write_text(
        "# tablets\n192.168.1.5\n 192.168.2.9/24 # lan\n2001:DB8::/32\nAA-BB-CC-00-11-22\nnonsense\n"
    )
    (folder / "README").write_text("")
    (tmp_path / "address-groups.json").write_text(
        '{"address_groups": [{"name": "kids", "ips": ["10.0.0.1"], "macs": ["aa:bb:cc:00:11:22"]},\n'
        ' {"name": "tv", "ips": ["10.0.0.2", 7], "mac": []}, {"ips": []}]}'
    )
    reports = Reports()
    groups = load_groups(Paths(str(tmp_path), "/run"), reports)
    assert groups["kids"].networks == tuple(
        map(ipaddress.ip_network, ("192.168.1.5", "192.168.2.0/24", "2001:db8::/32", "10.0.0.1"))
    )
    assert groups["kids"].macs == ("aa:bb:cc:00:11:22",)
    assert groups["tv"].networks == (ipaddress.ip_network("10.0.0.2"),)
    assert [str(report.place).removeprefix(str(tmp_path)) for report in reports.errors] == [
        "/address-groups.d/10-kids.conf:6:1",
        "/address-groups.json:2:37",
        "/address-groups.json:2:53",
    ]
    assert ["NN-NAME.conf" in report.message for report in reports.warnings] == [True, False]


def test_no_address_groups_is_no_mistake(tmp_path: Path) -> None:
    """Most routers have none."""
    reports = Reports()
    assert load_groups(Paths(str(tmp_path), "/run"), reports) == {}
    assert not reports.items


@pytest.mark.parametrize("content", ["{", "[]", '{"address_groups": {}}', '{"address_groups": [1]}', "\x00"])
def test_damaged_groups_are_reported(tmp_path: Path, content: str) -> None:
    """A damaged file of groups would end the compiler."""
    (tmp_path / "address-groups.json").write_text(content)
    reports = Reports()
    assert load_groups(Paths(str(tmp_path), "/run"), reports) == {}
    assert reports.errors


def test_the_service_says_how_to_let_it_read_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon is no longer root: a list that only root reads worked before an upgrade, and nothing would say what to do."""
    (tmp_path / "x").write_text("port == 1;")
    monkeypatch.setattr(os, "geteuid", lambda: 7150)
    monkeypatch.setattr(pwd, "getpwuid", lambda number: SimpleNamespace(pw_name="nfa"))

    def refused(path: str) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(allowed, "open_file", refused)
    _, reports = expand(str(tmp_path / "x"), tmp_path)
    assert reports.errors[0].hint == f"give it to the group of the user nfa: chgrp nfa {tmp_path}/x; chmod g+r {tmp_path}/x"
    assert reports.errors[0].code == "file-unreadable"
