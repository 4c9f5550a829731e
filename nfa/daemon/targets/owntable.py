"""The daemon's own table of nftables, if the policy has firewall targets: only then what keeps it is in memory.

In: prepared policies, what other programs did, the time. Out: calls of `firewall.firewall.Firewall`.
"""

MYPY = False
if MYPY:
    from typing import Any

    from ..engine.networks import Networks
    from ..engine.policy import Policy
    from .firewall.firewall import Firewall
    from .firewall.firewall import Tally as Tally
    from .firewall.maps import MapSlot
    from .sets.writer import Sets
    from .types import Key, Say, Tell

NEVER = 1e18


class OwnTable:
    """`firewall`: what keeps the table; None where no policy has had a firewall target."""

    def __init__(self, sets: "Sets", say: "Say", tell: "Tell") -> None:
        self.firewall: Firewall | None = None
        self._sets = sets
        self._say, self._tell = say, tell

    def make(self, networks: "Networks | None") -> "Firewall":
        """Return what keeps the table."""
        from .firewall.firewall import Firewall

        if self.firewall is not None or networks is None:
            return self.firewall or Firewall(self._sets, self._say, self._tell)
        return Firewall(self._sets, self._say, self._tell, networks.forbids_local, networks.forbids)

    def adopt(self, firewall: "Firewall | None", frame: "dict[str, Any] | None", maps: "list[tuple[MapSlot, Key]]") -> None:
        """Use what a new policy needs."""
        self.firewall = firewall
        if firewall is not None:
            firewall.adopt(frame, maps)

    def update(self, policy: "Policy | None") -> None:
        """Actions or targets of the active policy have begun or ended."""
        if self.firewall is not None and policy is not None:
            self.firewall.update(policy.applying())

    @property
    def busy(self) -> bool:
        """Whether there is more to write at once."""
        return self.firewall is not None and self.firewall.busy

    def numbers_of(self, target: str) -> set[int]:
        """Return the numbers of a target's elements: those of its combinations, all of which are beyond the slots'."""
        return self.firewall.combinations.numbers_of(target) if self.firewall is not None else set()

    def commit(self) -> None:
        """Write what elements lead to."""
        if self.firewall is not None:
            self.firewall.commit()

    def changed(self, family: int, table: str, name: str) -> None:
        """Another program has deleted chains or rules in a table, or elements of the set `name`; "": of some, perhaps."""
        if self.firewall is not None:
            self.firewall.table_changed(family, table, name)

    def heal(self, now: int) -> None:
        """Put back what others deleted."""
        if self.firewall is not None:
            self.firewall.heal(now)

    @property
    def deadline(self) -> float:
        """When there is something to put back, of the monotonic clock."""
        return self.firewall.deadline if self.firewall is not None else NEVER

    def tally(self) -> "Tally":
        """Return for targets and for actions what they hold, and the packets and bytes that met it."""
        return self.firewall.tally() if self.firewall is not None else ({}, {})

    def close(self) -> None:
        """The daemon ends."""
        if self.firewall is not None:
            self.firewall.close()
