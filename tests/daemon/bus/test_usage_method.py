"""The method usage: pages, spans and names, as a program gets them; and what is in memory where usage is off."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import samples
from house import CONFIG, House

ROOT = Path(__file__).parents[3]
INVALID, NOT_FOUND, FAILED = 2, 4, 9


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def use(house: House, count: int) -> int:
    """Let devices use something. Returns the bytes in all."""
    total = 0
    for number in range(count):
        flow = samples.flow(application="netify.netflix", local=f"192.168.1.{number + 2}")
        flow["flow"]["local_mac"] = f"02:00:00:00:02:{number:02x}"
        house.feed(flow, samples.purge(flow["flow"]["digest"], local=(1, 1), other=(number * 1000, 2)))
        total += number * 1000
    return total


def test_the_pages_together_have_every_device_once(house: House) -> None:
    """A reader of several pages would miss a device, or count it twice."""
    total = use(house, 70)
    found = []
    offset = 0
    while True:
        page = house.result("usage", offset=offset)
        assert page["total"] == 70
        assert len(page["devices"]) <= 32
        found += page["devices"]
        offset += len(page["devices"])
        if not page["more"]:
            break
    assert len({device["mac"] for device in found}) == len(found) == 70
    assert sum(app["down"] for device in found for app in device["applications"]) == total
    assert len(house.result("usage", limit=3)["devices"]) == 3


def test_periods_and_actions_add_up_to_the_same(house: House) -> None:
    """A chart by hour and the table beside it would say different things."""
    total = use(house, 5)
    for by in ("hour", "day"):
        assert sum(period["down"] for period in house.result("usage", by=by, since="12h")["periods"]) == total
    assert house.result("usage", by="day", app="netflix", device="02:00:00:00:02:04")["periods"][0]["down"] == 4000


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ({"since": "lately"}, INVALID, "'since': 'lately'; expected today, yesterday"),
        ({"since": "now", "until": "yesterday"}, INVALID, "later than"),
        ({"by": "week"}, INVALID, "hour, day or action"),
        ({"by": "action", "device": "02:00:00:00:02:00"}, INVALID, "all devices and applications together"),
        ({"offset": -1}, INVALID, "must not be negative"),
        ({"device": "tablet"}, NOT_FOUND, "nothing was counted of device 'tablet'; known: 02:00:00:00:02:00"),
        ({"app": "youtube"}, NOT_FOUND, "nothing was counted of app 'youtube'; known: netify.netflix"),
    ],
)
def test_wrong_questions_are_refused_with_words(house: House, arguments: dict[str, object], code: int, words: str) -> None:
    """An empty answer looks like a device that used nothing."""
    use(house, 1)
    status, data = house.call("usage", **arguments)
    assert status == code
    assert words in data["error"]


def test_what_is_forgotten_is_in_no_answer(house: House) -> None:
    """Who has something forgotten relies on it."""
    use(house, 3)
    assert house.result("forget_usage", device="02:00:00:00:02:01")["written"]
    assert [device["mac"][-1] for device in house.result("usage")["devices"]] == ["0", "2"]
    assert house.call("forget_usage", device="nobody")[0] == NOT_FOUND
    assert house.result("forget_usage")["written"]
    assert house.result("usage")["devices"] == []
    use(house, 3)
    assert len(house.result("usage")["devices"]) == 3, "what follows is counted"


def test_off_loads_nothing_and_is_said(tmp_path: Path) -> None:
    """Who switches it off to save memory would not."""
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "from pathlib import Path\nfrom house import CONFIG, House\n"
        f"house = House(Path({str(tmp_path)!r}), CONFIG | {{'usage': False}})\n"
        "print(house.call('usage'), house.daemon.engine.counting, [name for name in sys.modules if 'daemon.usage' in name])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "switched off" in done.stdout
    assert done.stdout.rstrip().endswith("None []")
    assert isinstance(CONFIG, dict)
    assert FAILED == 9
