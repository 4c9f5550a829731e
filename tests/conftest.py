"""What holds for all tests: hypothesis tries the same examples each time, however slow the machine is."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("nfa", derandomize=True, deadline=None)
settings.load_profile("nfa")
