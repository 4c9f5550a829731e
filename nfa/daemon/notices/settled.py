"""What has changed and stays so: something that comes and goes every other second is told once, and not again.

In: what is wrong now, each time somebody looks. Out: what began, once it was so in BEGIN looks (those in which it was not count
against it), and what is over, once it was not so for OVER looks more.
"""

BEGIN = 4
"""Looks, of 5 seconds each (`notices.POLL`)."""
OVER = 12


class Settled:
    """`told`: what was said to be wrong, by name."""

    def __init__(self) -> None:
        self._scores: dict[str, int] = {}
        self.told: dict[str, str] = {}

    def changed(self, wrong: "dict[str, str]", names: "tuple[str, ...] | None" = None) -> "list[tuple[str, str]]":
        """Return name and words of what began, and name and "" of what is over. `names`: those that this look is about; None:
        all but ""."""
        found: list[tuple[str, str]] = []
        about = names if names is not None else [one for one in list(self._scores) + list(wrong) if one]
        for name in dict.fromkeys(about):
            score = self._scores.get(name, 0) + (1 if name in wrong else -1)
            if name in wrong and (score >= BEGIN) and name not in self.told:
                self.told[name] = wrong[name]
                found.append((name, wrong[name]))
                score = OVER
            if score <= 0:
                self._scores.pop(name, None)
                if self.told.pop(name, None) is not None:
                    found.append((name, ""))
            else:
                self._scores[name] = min(score, OVER)
        return found
