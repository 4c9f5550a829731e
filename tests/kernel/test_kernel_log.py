"""The log target's files: their names and bodies as Netify's plugin writes them, and nothing else in the folder."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest
from kernel_lab import Lab, eventually, policy
from samples import flow, purge, stats

pytestmark = pytest.mark.kernel

NAME = re.compile(r"weakssl-(\d{8}-\d{6})\.json")


def log(folder: Path, **options: object) -> dict[str, dict[str, object]]:
    return {"log": {"target_type": "log", "prefix": "weakssl", "path": str(folder), "interval": 1} | options}


def test_a_file_for_each_interval_in_which_something_happened(lab: Lab) -> None:
    """Scripts find the files by their name and read them with jq: `weakssl-20221221-102846.json`."""
    folder = lab.folder / "made" / "by" / "the daemon"
    before = int(time.time())
    lab.start(policy(log(folder), "port == 443;"))
    lab.feed(flow(other_port=80))
    one = flow("HTTP/S", "netify.facebook", other="203.0.113.1")
    six = flow("TLS", local="2001:db8:1::20", other="2001:db8:ffff::1")
    lab.feed(one, six)
    file = eventually(lambda: [*folder.glob("*.json")] if folder.exists() else [], what="the first file")[0]
    match = NAME.fullmatch(file.name)
    assert match
    body = json.loads(file.read_text())
    after = int(time.time())
    written = time.mktime(time.strptime(match[1], "%Y%m%d-%H%M%S"))
    assert set(body) == {"entries", "time_start", "time_end"}
    assert before <= body["time_start"] <= body["time_end"] <= after
    assert written == body["time_end"]
    assert all(before <= entry.pop("time") <= after for entry in body["entries"])
    assert body["entries"] == [
        {"app_id": "119.netify.facebook", "dst_addr": "203.0.113.1", "dst_port": 443, "proto_id": "196",
         "src_addr": "192.168.1.20", "bytes": None, "host": "", "mac": one["flow"]["local_mac"],
         "device": one["flow"]["local_mac"]},
        {"app_id": "0.Unknown", "dst_addr": "2001:db8:ffff::1", "dst_port": 443, "proto_id": "91",
         "src_addr": "2001:db8:1::20", "bytes": None, "host": "", "mac": six["flow"]["local_mac"],
         "device": six["flow"]["local_mac"]},
    ]  # fmt: skip
    lab.feed(flow(other_port=80))
    uptime = lab.daemon.status()["uptime"]
    lab.daemon.until(lambda status: status["uptime"] >= uptime + 2, "one more interval")
    assert [path.name for path in folder.iterdir()] == [file.name], "none when nothing happened"
    assert lab.daemon.stop() == 0
    assert [path.name for path in folder.iterdir()] == [file.name]


def test_a_flow_has_one_entry_with_its_host_and_its_bytes(lab: Lab) -> None:
    """Who counts entries would count each flow as often as netifyd thinks of something: three times with TLS, twice with DNS.
    A reload, or a record in a later interval, would log it once more."""
    folder = lab.folder / "logs"
    first = flow("HTTP/S", other="203.0.113.1")
    digest = first["flow"]["digest"]
    refined = flow("HTTP/S", "netify.netflix", other="203.0.113.1", host_server_name="www.netflix.com", detection_updated=True)
    lab.start(policy({"log": log(folder)["log"] | {"interval": 2}}, "port == 443;"))
    lab.feed(first, refined, refined, stats(digest, total=(4711, 9)))
    file = eventually(lambda: [*folder.glob("*.json")] if folder.exists() else [], what="the first file")[0]
    (entry,) = json.loads(file.read_text())["entries"]
    assert (entry["app_id"], entry["host"], entry["bytes"]) == ("133.netify.netflix", "www.netflix.com", 4711)
    lab.daemon.configure(policy({"log": log(folder)["log"] | {"interval": 1}}, "port == 443;"))
    lab.daemon.signal(signal.SIGHUP)
    lab.daemon.loaded(2)
    lab.feed(refined, stats(digest, total=(9999, 10)), purge(digest))
    assert lab.daemon.stop() == 0
    assert [*folder.glob("*.json")] == [file]


def test_the_oldest_files_are_deleted_and_nothing_else(lab: Lab) -> None:
    """The folder is in RAM: a log that nobody clears ends in processes that are killed."""
    folder = lab.folder / "logs"
    folder.mkdir()
    mine = folder / "weakssl-notes.json"
    mine.write_text("mine")
    lab.start(policy({"log": log(folder)["log"] | {"max_files": 2}}))
    for number in range(1, 5):
        lab.feed(flow(other=f"203.0.113.{number}"))
        lab.daemon.until(lambda status: status["targets"]["log"]["elements"] == 0, "the file")
    files = sorted(folder.glob("weakssl-2*.json"))
    told = [entry["dst_addr"] for file in files for entry in json.loads(file.read_text())["entries"]]
    assert sorted(told) == ["203.0.113.3", "203.0.113.4"]
    assert mine.read_text() == "mine"
    assert lab.daemon.stop() == 0


def test_no_folder_is_made_when_nothing_matched(lab: Lab) -> None:
    """No empty files or folders on a router's flash."""
    lab.start(policy(log(lab.folder / "logs"), "port == 1;"))
    lab.feed(flow())
    assert lab.daemon.stop() == 0
    assert not (lab.folder / "logs").exists()


def test_strangers_links_in_the_folder_are_not_followed(lab: Lab) -> None:
    """/tmp is everybody's: a link of the name that the next file gets must not make root overwrite what it points at."""
    folder, victim = lab.folder / "tmp", lab.folder / "victim"
    folder.mkdir()
    victim.write_text("precious")
    traps = []
    for second in range(int(time.time()), int(time.time()) + 60):
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(second))
        for name in (f"weakssl-{stamp}.json", f".weakssl-{stamp}.json.tmp"):
            (folder / name).symlink_to(victim if second % 2 else folder / "not there")
            traps.append(folder / name)
    lab.start(policy(log(folder)))
    lab.feed(flow(other="203.0.113.1"))

    def files() -> list[Path]:
        return [path for path in folder.iterdir() if not path.is_symlink() and path.suffix == ".json"]

    file = eventually(files, what="a file beside the links")[0]
    assert json.loads(file.read_text())["entries"][0]["dst_addr"] == "203.0.113.1"
    assert lab.daemon.stop() == 0
    assert victim.read_text() == "precious" and not (folder / "not there").exists()
    assert all(path.is_symlink() for path in traps if path.suffix == ".json")


def test_a_folder_that_cannot_be_written_is_told_once(lab: Lab) -> None:
    """A full or read-only disk: said once, counted, and the daemon goes on."""
    blocked = lab.folder / "file"
    blocked.write_text("not a folder")
    lab.start(policy(log(blocked / "logs")))
    lab.feed(flow(other="203.0.113.1"))
    lab.daemon.until(lambda status: status["targets"]["log"]["errors"] == 1, "the first counted")
    lab.feed(flow(other="203.0.113.2"))
    lab.daemon.until(lambda status: status["targets"]["log"]["errors"] == 2, "the second counted")
    assert len(lab.daemon.said("error", "'log'", "cannot write")) == 1
    assert lab.daemon.stop() == 0
