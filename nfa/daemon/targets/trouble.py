"""Whether what a slot fills can be used, in words and as a code, and whether that was reported.

In: what went wrong, and when. Out: `words` and `code` for status ("" while it works), `retry_at` for those who try again. Sets,
connections and PF tables have one each; nobody else keeps a trouble of their own.
"""


class Trouble:
    """The trouble of one slot."""

    __slots__ = ("code", "retry_at", "told", "words")

    def __init__(self) -> None:
        self.words = ""
        self.code = ""
        """What kind of trouble it is, for pages and scripts; the words may change. docs/codes.md lists all."""
        self.told = False
        """It was written to the log and sent as an event."""
        self.retry_at = 0
        """The second, by the loop's clock, before which nothing is tried again."""

    def begin(self, code: str, words: str) -> bool:
        """There is trouble. Returns whether it is another one than before."""
        new = self.words != words
        self.code, self.words = code, words
        return new

    def end(self) -> bool:
        """It works again. Returns whether the trouble had been reported, so that its end must be, too."""
        told = self.told
        self.code = self.words = ""
        self.told = False
        self.retry_at = 0
        return told

    def wait(self, until: int) -> None:
        """Try nothing again before this second."""
        self.retry_at = max(self.retry_at, until)


class Troubled:
    """What has a `state` that may be in trouble: a slot of any kind."""

    state: Trouble

    @property
    def trouble(self) -> str:
        """Why it cannot be used now, in words; "" while it can."""
        return self.state.words

    @property
    def trouble_code(self) -> str:
        """The code of that."""
        return self.state.code
