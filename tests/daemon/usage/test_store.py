"""The file that usage is kept in: old or new, never half, whatever happens while it is written."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st
from usage_lab import Lab

from nfa.daemon.usage import store
from nfa.daemon.usage.store import OtherVersion, decode, encode

WALL = 1_795_003_200.0
CONTENT = {"since": 5, "devices": ["", "a"], "apps": ["", "b"], "actions": [""], "hours": {3600: b"x"}, "days": {1: b"y"}}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(WALL, str(tmp_path / "kept" / "usage"))


def use(lab: Lab, size: int = 1000) -> None:
    flow = samples.flow(application="netify.youtube")
    lab.take(flow, samples.purge(flow["flow"]["digest"], local=(0, 0), other=(size, 1)))


def down(lab: Lab) -> int:
    return sum(total[0] for total in lab.totals().values())


def test_it_is_written_every_quarter_of_an_hour_and_at_the_end(lab: Lab) -> None:
    """Flash that is written each minute does not live for long; a crash must not lose a day."""
    file = Path(lab.usage.store.path)
    use(lab)
    lab.forward(14 * 60, 1)
    assert not file.exists()
    lab.forward(62, 1)
    first = file.stat().st_ino
    lab.forward(13 * 60, 1)
    assert file.stat().st_ino == first
    use(lab)
    lab.restart()
    assert down(lab) == 2000
    assert os.listdir(file.parent) == ["usage"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_names_come_back_with_their_rows(lab: Lab) -> None:
    """Rows have numbers: with other names they would be of other devices."""
    for number in range(5):
        flow = samples.flow(application="netify.youtube" if number % 2 else "netify.netflix", local=f"192.168.1.{20 + number}")
        lab.take(flow, samples.purge(flow["flow"]["digest"], local=(0, 0), other=(number + 1, 1)))
    before = lab.totals()
    for _ in range(3):
        lab.restart()
        assert lab.totals() == before
    use(lab, 7)
    lab.restart()
    assert sum(total[0] for total in lab.totals().values()) == 22


def test_the_process_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    """A router is unplugged, not shut down: the month must be there after it."""
    file = tmp_path / "usage"
    lab = Lab(WALL, str(file))
    use(lab)
    lab.restart()
    whole = file.read_bytes()
    calls = ["unlink", "open", "write", "close", "rename", "fsync"]
    for call in calls:
        for count in range(1, 4):
            child = os.fork()
            if not child:
                left = count
                kept = getattr(os, call)

                def die(*arguments: object, **named: object) -> object:
                    nonlocal left
                    left -= 1
                    if not left:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return kept(*arguments, **named)  # noqa: B023 (the process ends with this turn of the loop)

                use(lab)
                setattr(os, call, die)
                lab.usage.store.write_now(lab.usage.content())
                os._exit(0)
            os.waitpid(child, 0)
            found = decode(file.read_bytes())
            assert found["devices"] == decode(whole)["devices"]
            file.write_bytes(whole)
    again = Lab(WALL, str(file))
    assert down(again) == 1000


def test_a_full_disk_leaves_the_old_file_and_is_told(lab: Lab) -> None:
    """Half a file would be the end of what was kept."""
    file = Path(lab.usage.store.path)
    use(lab)
    lab.restart()
    whole = file.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        lab.forward(16 * 60, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, former)
    assert file.read_bytes() == whole
    assert os.listdir(file.parent) == ["usage"]
    assert lab.usage.status()["code"] == "usage-file-unwritable"
    assert len([text for _, text in lab.said if "cannot be written" in text]) == 1
    lab.forward(16 * 60, 1)
    assert lab.usage.status()["code"] == ""
    assert down(Lab(lab.wall, str(file))) == 1000


@pytest.mark.parametrize("size", range(0, len(encode(CONTENT)), 7))
def test_half_a_file_is_set_aside(tmp_path: Path, size: int) -> None:
    """A file system may lose the end of a file; counting must start over, and say so."""
    file = tmp_path / "usage"
    file.write_bytes(encode(CONTENT)[:size])
    lab = Lab(WALL, str(file))
    assert lab.usage.status()["code"] == "usage-file-damaged"
    assert (tmp_path / "usage.bad").read_bytes() == encode(CONTENT)[:size]
    assert not file.exists()
    use(lab)
    lab.restart()
    assert down(lab) == 1000
    assert lab.usage.status()["code"] == ""


def test_a_file_of_another_version_is_kept(tmp_path: Path) -> None:
    """Who goes back to an older nfa must find the file of the newer one again."""
    file = tmp_path / "usage"
    file.write_bytes(b"nfa usage 2\nwhatever")
    lab = Lab(WALL, str(file))
    assert lab.usage.status()["code"] == "usage-file-version"
    assert "'2'" in lab.usage.status()["trouble"]
    assert (tmp_path / "usage.bad").exists()


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_raise_anything_else(data: bytes, headed: bool) -> None:
    """The daemon would not start."""
    raw = store.USAGE.head + store.binascii.crc32(data).to_bytes(4, "big") + data if headed else data
    try:
        decode(raw)
    except (ValueError, OtherVersion):
        pass


def test_links_and_files_of_others_are_not_followed(tmp_path: Path) -> None:
    """In a folder that strangers may write into, a link would have the daemon read, or write, what it points to."""
    secret = tmp_path / "secret"
    secret.write_bytes(encode(CONTENT))
    (tmp_path / "usage").symlink_to(secret)
    lab = Lab(WALL, str(tmp_path / "usage"))
    assert lab.usage.status()["code"] == "usage-file-unreadable"
    use(lab)
    lab.restart()
    assert secret.read_bytes() == encode(CONTENT)
    assert not (tmp_path / "usage").is_symlink()


def test_a_folder_that_is_not_allowed_is_refused(tmp_path: Path) -> None:
    """Who may write the configuration must not be able to write elsewhere."""
    lab = Lab(WALL, "/etc/nfa-usage-of-a-test")
    assert not Path("/etc/nfa-usage-of-a-test").exists()
    lab.usage.close()
    assert not Path("/etc/nfa-usage-of-a-test").exists()
    assert lab.usage.status()["code"] == "usage-file-unwritable"


def test_writing_takes_no_turn_long(lab: Lab) -> None:
    """Two megabytes are written in parts; nothing else waits for them."""
    content = dict(CONTENT, days={number: bytes(50_000) for number in range(31)})
    lab.usage.store.write(content)
    steps = 0
    while lab.usage.store._rest:
        before = len(lab.usage.store._rest)
        lab.run()
        steps += 1
        assert before - len(lab.usage.store._rest) <= store.CHUNK
    assert steps >= 20
