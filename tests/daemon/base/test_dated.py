"""Files named by time are bounded, and nothing but what the target wrote is ever deleted."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nfa.daemon.base.dated import write_dated

END = 1_795_000_000.9


def stamp(end: float) -> str:
    return time.strftime("%Y%m%d-%H%M%S", time.localtime(int(end)))


def write(folder: Path, number: int, size: int = 10, files: int = 0, most: int = 0, suffix: str = ".json") -> str:
    problem = write_dated(str(folder), "x-", suffix, b"x" * size, END + number, files, most)
    for path in folder.iterdir():
        if path.name == f"x-{stamp(END + number)}{suffix}":
            os.utime(path, (1000 + number, 1000 + number))
    return problem


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_no_more_files_than_that_and_the_oldest_go(tmp_path: Path) -> None:
    """/tmp is memory: a log of a week would end in killed processes."""
    for number in range(7):
        assert write(tmp_path, number, files=3) == ""
    assert names(tmp_path) == {f"x-{stamp(END + number)}.json" for number in (4, 5, 6)}


def test_no_more_bytes_than_that_the_new_file_included(tmp_path: Path) -> None:
    """A few large files fill a folder as well as many small ones."""
    for number in range(7):
        assert write(tmp_path, number, size=400, most=1000) == ""
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1000
    assert names(tmp_path) == {f"x-{stamp(END + number)}.json" for number in (5, 6)}


def test_zero_is_no_bound(tmp_path: Path) -> None:
    """Who logs to a disk may want to keep everything."""
    for number in range(5):
        assert write(tmp_path, number) == ""
    assert len(names(tmp_path)) == 5


@pytest.mark.parametrize("suffix", [".json", ".json.gz", "-log", ""])
def test_files_of_one_second_are_counted_with_the_others(tmp_path: Path, suffix: str) -> None:
    """Numbered files would escape the bound and stay for ever."""
    for _ in range(5):
        assert write(tmp_path, 1, files=3, suffix=suffix) == ""
    assert len(names(tmp_path)) == 3
    assert all(name.startswith(f"x-{stamp(END + 1)}") and name.endswith(suffix) for name in names(tmp_path))


STRANGERS = [
    "x-report.json", "x-20261118-120000.json.bak", "x-20261118-120000.txt", "xx-20261118-120000.json", "x-20261118.json",
    "x-20261118-120000-1-1.json", "x-20261118-120000-.json", "x-20261118-120000-12345.json", "x-2026111a-120000.json",
    "x-y-20261118-120000.json", "x-２０２６1118-120000.json", "x-20261118-120000.json\n", "x-20261118-120000Xjson",
]  # fmt: skip


def test_what_the_target_has_not_written_is_never_deleted(tmp_path: Path) -> None:
    """A folder of the user's may hold other files: reports of a like name, other targets' logs, folders, links."""
    for name in STRANGERS:
        (tmp_path / name).write_text("precious")
    (tmp_path / "x-20261118-120001.json").mkdir()
    (tmp_path / "x-20261118-120002.json").symlink_to(tmp_path / "x-report.json")
    before = names(tmp_path)
    for number in range(4):
        assert write(tmp_path, number, files=1) == ""
    assert names(tmp_path) - before == {f"x-{stamp(END + 3)}.json"}
    assert before <= names(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_not_the_targets(tmp_path: Path) -> None:
    """In /tmp anyone may choose the name of a file."""
    theirs = tmp_path / "x-20260101-000000.json"
    theirs.write_text("theirs")
    os.chown(theirs, 65534, 65534)
    for number in range(3):
        assert write(tmp_path, number, files=1) == ""
    assert theirs.exists() and len(names(tmp_path)) == 2


def test_without_a_time_a_file_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    """`overwrite` would leave files behind."""
    for data in (b"1", b"2"):
        assert write_dated(str(tmp_path), "x", ".json", data, None, 1, 1) == ""
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("x.json", b"2")]


def test_a_folder_that_is_not_there_is_made_and_one_that_cannot_be_is_told(tmp_path: Path) -> None:
    """The daemon would stop logging, or end, at the first interval."""
    assert write_dated(str(tmp_path / "a" / "b"), "x-", ".json", b"", END, 1, 1) == ""
    assert len(names(tmp_path / "a" / "b")) == 1
    (tmp_path / "file").write_text("")
    assert write_dated(str(tmp_path / "file"), "x-", ".json", b"", END, 1, 1) != ""
