"""The type of the `load_config` fixture, in a module of its own: every folder has a conftest."""

from collections.abc import Callable

from nfa.config.model import Policy
from nfa.config.report import Reports

Load = Callable[[object], tuple[Policy | None, Reports]]
