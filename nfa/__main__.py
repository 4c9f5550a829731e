"""The command `nfa`, and `python -m nfa`.

`nfa run` becomes a daemon, which a SIGHUP must never end, not even in its first moments. So signals are handled before
anything large is imported, which takes a second or two on a router.
"""

import sys


def main() -> int:
    """Run the command that the arguments name. Returns the exit code."""
    if sys.argv[1:2] == ["run"]:
        from .daemon import signals

        signals.hear()
    from .cli import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
