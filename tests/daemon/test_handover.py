"""What a daemon leaves to the next one is taken from nobody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from house import House, youtube

from nfa.daemon import handover


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")
def test_a_strangers_file_of_flows_is_not_taken(tmp_path: Path) -> None:
    """With the control socket in /tmp, anybody could have addresses blocked by flows that netifyd never saw."""
    house = House(tmp_path)
    house.feed(youtube(1))
    for owner, taken in ((os.geteuid(), 1), (65534, 0)):
        assert handover.leave(str(tmp_path), house.daemon.engine) == ""
        os.chown(tmp_path / handover.NAME, owner, -1)
        assert handover.take(str(tmp_path), house.daemon.engine) == taken
        assert not (tmp_path / handover.NAME).exists()
