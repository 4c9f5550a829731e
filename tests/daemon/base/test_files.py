"""Files are written whole, under their own name, and through nobody's link."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from nfa.daemon.base.files import write_whole

TEMPORARY = ".x.json.tmp"


def test_a_file_is_written_and_nothing_else_is_left(tmp_path: Path) -> None:
    """A reader would see half a log, or a folder full of temporary files."""
    assert write_whole(str(tmp_path / "a" / "b"), "x.json", b"data", TEMPORARY) == ""
    assert [(file.name, file.read_bytes()) for file in (tmp_path / "a" / "b").iterdir()] == [("x.json", b"data")]
    assert (tmp_path / "a" / "b" / "x.json").stat().st_mode & 0o007 == 0


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Two intervals that end in one second (or a clock that is set back) would lose the first."""
    for number in range(4):
        assert write_whole(str(tmp_path), "x.json", b"%d" % number, TEMPORARY) == ""
    assert write_whole(str(tmp_path), "plain", b"a", TEMPORARY) == write_whole(str(tmp_path), "plain", b"b", TEMPORARY) == ""
    found = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert found == {"x.json": b"0", "x-1.json": b"1", "x-2.json": b"2", "x-3.json": b"3", "plain": b"a", "plain-1": b"b"}


@pytest.mark.parametrize("trap", ["x.json", ".x.json.tmp"])
def test_a_link_of_a_stranger_is_not_followed(tmp_path: Path, trap: str) -> None:
    """Logs go to /tmp: root would overwrite what a link there points to."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "logs"
    folder.mkdir()
    os.symlink(victim, folder / trap)
    assert write_whole(str(folder), "x.json", b"data", TEMPORARY) == ""
    assert victim.read_text() == "precious"
    assert not victim.is_symlink()
    written = [file for file in folder.iterdir() if not file.is_symlink()]
    assert [file.read_bytes() for file in written] == [b"data"]


def test_a_dangling_link_does_not_make_a_file(tmp_path: Path) -> None:
    """The same, for a file that is to appear where root can write and a stranger cannot."""
    folder = tmp_path / "logs"
    folder.mkdir()
    os.symlink(tmp_path / "victim", folder / "x.json")
    assert write_whole(str(folder), "x.json", b"data", TEMPORARY) == ""
    assert not (tmp_path / "victim").exists()
    assert (folder / "x-1.json").read_bytes() == b"data"


def test_trouble_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """The daemon would end on a full disk."""
    (tmp_path / "file").write_text("")
    assert write_whole(str(tmp_path / "file"), "x", b"", TEMPORARY) == "Not a directory"
    assert write_whole("/proc/nonexistent", "x", b"", TEMPORARY) != ""
    if os.path.exists("/dev/full"):
        assert write_whole(str(tmp_path), "a" * 300, b"x", TEMPORARY) == "File name too long"
    assert os.listdir(tmp_path) == ["file"]


def test_more_files_of_one_name_than_names_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries would vanish without a word when no name is free."""

    def taken(source: str, target: str, **options: object) -> None:
        raise FileExistsError(17, "File exists", target)

    monkeypatch.setattr(os, "link", taken)
    assert write_whole(str(tmp_path), "x.json", b"data", TEMPORARY) != ""
    assert os.listdir(tmp_path) == []


def test_a_folder_without_hard_links_takes_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A USB stick with vfat would get no log at all."""

    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    assert write_whole(str(tmp_path), "x.json", b"1", TEMPORARY) == write_whole(str(tmp_path), "x.json", b"2", TEMPORARY) == ""
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"x.json": b"1", "x-1.json": b"2"}


def test_a_folder_in_the_way_of_the_temporary_file_does_not_stop_a_log(tmp_path: Path) -> None:
    """Any user of /tmp could switch a log target off."""
    (tmp_path / TEMPORARY).mkdir()
    assert write_whole(str(tmp_path), "x.json", b"data", TEMPORARY) == ""
    assert (tmp_path / "x.json").read_bytes() == b"data"
