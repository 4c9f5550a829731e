"""Under the real MicroPython: what a policy decides and puts into sets is what CPython decides, for each record."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import samples
from lease_samples import LINES
from micropython_lab import ACTIONS, RECORDED, ROOT, SETS, MicroPython, compare, payloads
from policies import config_of

from nfa.cli.recording import frames


def config() -> dict[str, Any]:
    return config_of(ACTIONS, timezone="UTC", targets=SETS, exemptions=["protocol == 'zoom';", "192.168.1.77"])


def with_a_set(criteria: list[str]) -> dict[str, Any]:
    """An action for each, with a target that MicroPython can fill: one that only logs is left out there."""
    return {f"a{number}": {"criteria": text, "targets": ["nftset.flow"]} for number, text in enumerate(criteria)}


def test_decisions_on_a_made_stream_are_those_of_cpython(micropython: MicroPython, tmp_path: Path) -> None:
    """A policy that was tested on a PC would do something else on the router."""
    said = compare(micropython, tmp_path, config(), payloads(1, 400) + payloads(2, 200))
    assert len(set(said)) > 50


def test_decisions_on_a_recorded_stream_are_those_of_cpython(micropython: MicroPython, tmp_path: Path) -> None:
    """As above, with what a real netifyd wrote."""
    if not RECORDED.is_file():
        pytest.skip(f"no {RECORDED}")
    compare(micropython, tmp_path, config(), list(frames(RECORDED)))


def test_damaged_and_foreign_records_are_judged_as_by_cpython(micropython: MicroPython, tmp_path: Path) -> None:
    """A record that CPython refuses would have an effect, or a flow would escape by letters that are not ASCII."""
    rng = random.Random(5)
    names = [
        "ÉCOLE.example", "école.EXAMPLE", "xn--bcher-kva.example", "K.example", "İ.example", "ads12.example",
        "\U0001f600.example", "ǅ.example", "ΑΒ.example", "a" * 3000, "tracker.\ud7ff.example", "",
    ]  # fmt: skip
    records = [samples.flow("HTTP/S", host_server_name=name) for name in names]
    made = [json.dumps(record, ensure_ascii=bool(number & 1)).encode() + b"\n" for number, record in enumerate(records * 2)]
    for bad in (b"\xff\xfe", b"\xc0\xae", b"\xed\xa0\x80", b"\xf0\x9f", b"\xe2\x28\xa1", b"\xf5\x80\x80\x80"):
        made.append(json.dumps(samples.flow("HTTP/S", host_server_name="ads12.@.x")).encode().replace(b"@", bad) + b"\n")
    for name in ("ip_version", "digest", "local_ip", "detected_protocol", "other_port", "ip_nat", "ssl", "risks", "category"):
        for value in (None, True, -1, 70000, 4.0, "x:", [], {}, [1], {"a": 1}, "1.2.3.4\0", 1 << 70):
            record = samples.flow("HTTP/S")
            record["flow"][name] = value
            made.append(json.dumps(record).encode() + b"\n")
    whole = json.dumps(samples.flow("HTTP/S")).encode()
    made += [whole[: rng.randrange(len(whole) - 1)] + b"\n" for _ in range(30)]
    compare(micropython, tmp_path, config(), made)


def test_records_cut_anywhere_are_refused(micropython: MicroPython, tmp_path: Path) -> None:
    """What is cut off may be what exempts the flow; MicroPython's own reader takes the rest for whole."""
    record = samples.flow("HTTP/S", host_server_name='a}b"{c\\', ssl={"alpn": ["h2"]}, http={"url": "/{{{"})
    whole = json.dumps(record, separators=(",", ":")).encode()
    cut = [whole[:end] for end in range(len(whole)) if whole[end - 1 : end] in (b"}", b"]")]
    said = compare(micropython, tmp_path, config(), [*cut, whole])
    assert set(said[:-1]) == {"bad json"}
    assert said[-1][0] == "("


def test_devices_are_those_of_cpython(micropython: MicroPython, tmp_path: Path) -> None:
    """A tablet that is blocked on a PC would go on on the router."""
    devices = {
        "tablet": {"mac": "02:00:5e:10:01:14"},
        "printer": {"ip": ["192.168.1.22", "2001:db8:4::/46"]},
        "tv": {"name": "tv"},
    }
    criteria = ["local_ip == @tablet;", "device == 'rooms' && port == 443;", "!local_device;", "other_mac != @tv;"]
    groups = {"rooms": {"device": ["tablet", "printer"]}}
    made = config_of(with_a_set(criteria), targets=SETS, devices=devices, groups=groups, exemptions=["@printer"])
    said = compare(micropython, tmp_path, made, payloads(3, 300))
    assert len(set(said)) > 4


def test_leases_and_neighbours_are_read_as_by_cpython(micropython: MicroPython, tmp_path: Path) -> None:
    """A line that CPython passes over would end the daemon, or a device have another's address."""
    (tmp_path / "leases").write_bytes(b"\n\xff x\n# \n1 2\n".join(line.encode() for line, _ in LINES.values()))
    program = """
import sys
from nfa.daemon.devices.configured import Devices
from nfa.daemon.devices.known import Known
from nfa.daemon.devices.leases import leases
found = leases(open(sys.argv[1], "rb").read())
for address, mac, name in found:
    print(list(address), list(mac), name)
devices = Devices([("tablet", "", (b"abcdef",), ((bytes((10, 0, 0, 0)), 9),), ("asus",))])
known = devices.known = Known(lambda mac: bool(devices.of_mac(mac)))
known.lease(found)
known.reserve([(b"ABCDEF", "asus", bytes((9, 9, 9, 9)))])
six = b"\\xfd" + bytes(14)
for number in range(3000):
    known.appeared(six + bytes((number & 255,)), b"abcdef" if number % 3 else b"ghijkl", 1)
    if number % 5 == 0:
        known.vanished(six + bytes((number % 199,)), number)
        known.expire(number - 400)
addresses = [six + bytes((number,)) for number in range(256)]
addresses += [bytes((10, 99, 1, 1)), bytes((10, 128, 1, 1)), bytes((9, 9, 9, 9))]
print([devices.of(address, b"zzzzzz") for address in addresses], len(known.addresses))
"""
    wanted = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "leases")], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert len(wanted.stdout.splitlines()) > len(LINES) // 2
    assert micropython.run(program, str(tmp_path / "leases")) == wanted.stdout


def test_text_is_lower_case_as_in_cpython(micropython: MicroPython, tmp_path: Path) -> None:
    """A name in capitals that are not ASCII would escape a policy."""
    from nfa.compiler.micropython import lower_rows

    program = """
import sys
from nfa.daemon.base.micropython_text import utf8, characters, lower, set_lower
set_lower(open(sys.argv[1], "rb").read(), b"")
def char(code):
    return str(utf8(code), "utf-8")
for code in range(0x20000):
    if not 0xD800 <= code < 0xE000 and lower(char(code)) != char(code):
        print(code, " ".join([str(c) for c in characters(lower(char(code)))]))
"""
    rows = tmp_path / "rows"
    rows.write_bytes(lower_rows())
    printed = micropython.run(program, str(rows))
    wanted = {code: chr(code).lower() for code in range(0x20000) if not 0xD800 <= code < 0xE000}
    found = {int(line.split()[0]): "".join(chr(int(word)) for word in line.split()[1:]) for line in printed.splitlines()}
    assert found == {code: text for code, text in wanted.items() if text != chr(code)}


def test_masks_of_many_actions_are_keys_of_tables(micropython: MicroPython) -> None:
    """Masks have a bit for each alternative: integers of thousands of bits are keys, and taken apart."""
    program = """
from nfa.daemon.engine.index import bits, numbers_of
table = {}
for number in range(300):
    table[bits((number, 5000 - number))] = number
assert len(table) == 300
for number in range(300):
    mask = bits((number, 5000 - number))
    assert table[mask] == number and sorted(numbers_of(mask)) == sorted({number, 5000 - number})
    assert mask & ~(1 << number) == 1 << 5000 - number and mask | 1 << number == mask and not mask & 0
print("good")
"""
    assert micropython.run(program) == "good\n"


def test_lists_of_an_owner_decide_as_in_cpython(micropython: MicroPython, tmp_path: Path) -> None:
    """A list of domains would match other names on a small router."""
    (tmp_path / "categories.d").mkdir()
    (tmp_path / "categories.d" / "50-mine.conf").write_text("dom:example.org\nnet:203.0.113.0/28\nrxp:ads?[0-9]+\\.example\n")
    criteria = ["category == 'mine';", "domain_category != 'mine' && local_ip == 192.168.1.20-192.168.1.40;"]
    names = [
        "example.org",
        "www.example.org",
        "notexample.org",
        "org",
        "ads7.example",
        "x.ads7.example",
        "",
        "ÉCOLE.example.org",
    ]
    records = [
        samples.flow("HTTP/S", host_server_name=name, other=other)
        for name in names
        for other in ("203.0.113.10", "198.51.100.7")
    ]
    said = compare(
        micropython,
        tmp_path,
        config_of(with_a_set(criteria), targets=SETS),
        [json.dumps(record).encode() + b"\n" for record in records],
    )
    assert len(set(said)) > 2
