"""Where a configuration may have files read and written: who may write it is not root."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from nfa.daemon.base import allowed
from nfa.daemon.base.files import write_whole

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="the file must belong to root")


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Root's file."""
    folder = tmp_path / "own"
    folder.mkdir(mode=0o755)
    monkeypatch.setattr(allowed, "FILE", str(folder / "allowed_folders"))
    return folder / "allowed_folders"


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder that may be written to."""
    folder = tmp_path / "logs"
    folder.mkdir()
    monkeypatch.setattr(allowed, "WRITE", (str(folder),))
    return folder


# -- writing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "folder",
    [
        *("/etc", "/etc/hotplug.d/iface", "/etc/init.d", "/etc/crontabs", "/etc/profile.d", "/etc/config", "/etc/nfa"),
        *("/usr/bin", "/usr/lib/lua", "/www", "/root", "/", "/lib/functions", "/proc/self", "/sys/kernel", "/dev"),
        *("/tmp/../etc/hotplug.d", "/tmp/dnsmasq.d", "/tmp/.uci", "/tmp/x/hotplug.d/iface", "/mnt/usb/upper/etc/init.d/x"),
        *("/srv/www/stats", "/mnt/cron", "/tmp/bin", "/tmpx", "/var/logs", "/tmp/a\0b"),
    ],
)
def test_nothing_is_written_where_something_executes_it(folder: str) -> None:
    """OpenWrt sources what is in /etc/hotplug.d as root, and a record's names come from strangers: `$(...)`."""
    with pytest.raises(allowed.NotAllowed):
        allowed.to_write(folder)
    assert write_whole(folder, "99.json", b"$(reboot)", ".99.tmp") != ""


@pytest.mark.parametrize(
    "folder", ["/tmp", "/tmp/nfa-logs", "/var/log/nfa", "/var/run/nfa", "/run/nfa", "/mnt/usb/logs", "/srv/x"]
)
def test_logs_go_where_logs_go(folder: str) -> None:
    assert allowed.to_write(folder) == os.path.realpath(folder)


def test_a_folder_that_is_a_link_is_not_followed_out(tmp_path: Path, only: Path) -> None:
    """A link from /tmp to a folder of scripts would lead the daemon there."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (only / "x").symlink_to(scripts)
    problem = write_whole(str(only / "x"), "99.json", b"data", ".tmp")
    assert f"it leads to {scripts}, which is not below {only}" in problem
    problem = write_whole(str(only / "x" / "deeper"), "99.json", b"data", ".tmp")
    assert problem and list(scripts.iterdir()) == []


def test_a_link_inside_is_followed(only: Path) -> None:
    """On OpenWrt /var is a link to /tmp."""
    (only / "real").mkdir()
    (only / "x").symlink_to(only / "real")
    assert write_whole(str(only / "x"), "a.json", b"data", ".tmp") == ""
    assert (only / "real" / "a.json").read_bytes() == b"data"


@pytest.mark.parametrize("moment", ["before", "while"])
def test_a_link_that_is_put_in_place_after_the_check_leads_nowhere(
    tmp_path: Path, only: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A local user would win a race: the check sees a folder, the write finds a link."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (only / "x").mkdir()
    check, step = allowed.to_write, allowed._step

    def exchange() -> None:
        if not (only / "x").is_symlink():
            (only / "x").rename(only / "moved")
            (only / "x").symlink_to(scripts)

    def checked(folder: str) -> str:
        found = check(folder)
        if moment == "before":
            exchange()
        return found

    def stepped(part: str, handle: int, make: bool) -> int:
        if part == "x" and moment == "while":
            found = step(part, handle, make)
            exchange()
            return found
        return step(part, handle, make)

    monkeypatch.setattr(allowed, "to_write", checked)
    monkeypatch.setattr(allowed, "_step", stepped)
    problem = write_whole(str(only / "x"), "99.json", b"data", ".tmp")
    assert list(scripts.iterdir()) == []
    assert bool(problem) == (moment == "before"), "what was opened stays the folder that was checked"


def test_a_name_with_a_folder_in_it_is_no_name(only: Path) -> None:
    """A prefix is checked by the compiler; the daemon does not rely on it."""
    assert write_whole(str(only), "../99.json", b"data", ".tmp") != ""
    assert write_whole(str(only), "99.json", b"data", "../.tmp") != ""
    assert list(only.parent.iterdir()) == [only]


def test_a_socket_is_made_only_where_that_is_allowed(tmp_path: Path, only: Path) -> None:
    """A page could replace any socket of the system that is not alive, and make folders anywhere."""
    listener, inode = allowed.listen(str(only / "deep" / "x.sock"), 0o600, 1)
    with listener, socket.socket(socket.AF_UNIX) as reader:
        assert (only / "deep" / "x.sock").stat().st_ino == inode
        reader.connect(str(only / "deep" / "x.sock"))
    with pytest.raises(allowed.NotAllowed):
        allowed.listen(str(tmp_path / "elsewhere" / "x.sock"), 0o600, 1)
    assert not (tmp_path / "elsewhere").exists()


# -- reading -------------------------------------------------------------------------------------------------------------


def test_a_file_is_read_below_its_folder_only(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "hereafter"
    here.mkdir()
    there.mkdir()
    (there / "secret").write_text("")
    (here / "list").write_text("")
    (here / "link").symlink_to(there / "secret")
    (here / "folder").symlink_to(there)
    folders = (str(here),)
    assert allowed.to_read(str(here / "list"), folders) == str(here / "list")
    for path in (there / "secret", here / "link", here / "folder" / "secret", here / ".." / "hereafter" / "secret"):
        with pytest.raises(allowed.NotAllowed):
            allowed.to_read(str(path), folders)


def test_a_link_that_is_put_in_place_after_the_check_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("root:hash")
    (tmp_path / "list").write_text("")
    path = allowed.to_read(str(tmp_path / "list"), (str(tmp_path),))
    (tmp_path / "list").unlink()
    (tmp_path / "list").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError):
        allowed.open_file(path)


# -- what root allows ----------------------------------------------------------------------------------------------------


@root_only
def test_root_allows_more_folders(tmp_path: Path, rules: Path, only: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "usb").mkdir()
    with pytest.raises(allowed.NotAllowed) as refused:
        allowed.to_read(str(tmp_path / "lists" / "x"), ())
    assert f"root adds the line 'read {tmp_path}/lists' to {rules}" in refused.value.hint
    rules.write_text(f"# ours\nread {tmp_path}/lists  # of expressions\nwrite {tmp_path}/usb\n")
    assert allowed.to_read(str(tmp_path / "lists" / "x"), ()) == f"{tmp_path}/lists/x"
    assert write_whole(str(tmp_path / "usb" / "logs"), "a.json", b"data", ".tmp") == ""
    with pytest.raises(allowed.NotAllowed):
        allowed.to_read(str(tmp_path / "usb" / "x"), ())
    with pytest.raises(allowed.NotAllowed):
        allowed.to_write(str(tmp_path / "lists"))


@root_only
def test_root_himself_does_not_open_a_folder_of_scripts(tmp_path: Path, rules: Path, only: Path) -> None:
    """`write /etc` is written quickly, and would make root of every page again."""
    rules.write_text("write /etc\nwrite /\n")
    with pytest.raises(allowed.NotAllowed, match=r"is in 'hotplug\.d'"):
        allowed.to_write("/etc/hotplug.d/iface")


@root_only
@pytest.mark.parametrize("whose", ["file", "folder", "mode of the file", "mode of the folder", "link"])
def test_a_file_that_others_may_write_allows_nothing(tmp_path: Path, rules: Path, whose: str) -> None:
    """Whoever can write it would be root."""
    rules.write_text(f"read {tmp_path}\n")
    change: Any = {
        "file": lambda: os.chown(rules, 65534, 65534),
        "folder": lambda: os.chown(rules.parent, 65534, 65534),
        "mode of the file": lambda: rules.chmod(0o664),
        "mode of the folder": lambda: rules.parent.chmod(0o775),
        "link": lambda: (rules.rename(tmp_path / "x"), rules.symlink_to(tmp_path / "x")),
    }
    assert allowed.rules()[0] == [str(tmp_path)]
    change[whose]()
    read, write, problems = allowed.rules()
    assert (read, write) == ([], []) and len(problems) == 1


@root_only
def test_a_line_that_is_none_is_said(rules: Path) -> None:
    rules.write_text("read\nexecute /x\nread x\nread /a b\n")
    read, _, problems = allowed.rules()
    assert read == ["/a b"] and [problem[:7] for problem in problems] == ["line 1:", "line 2:", "line 3:"]
