"""`python -m nfa`: the same as the command `nfa`."""

import sys

from .cli import main

sys.exit(main())
