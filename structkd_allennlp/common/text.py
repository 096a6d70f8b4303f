"""Text in messages."""

import reprlib
from itertools import islice


class _Short(reprlib.Repr):
    """Looks at no more of a value than it shows, however large or deeply nested that is."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        # An item takes three characters or more.
        self.maxlist = self.maxtuple = self.maxdict = limit // 3 + 1
        self.maxlevel = 3
        self.maxstring = self.maxlong = self.maxother = limit

    def repr_dict(self, x: dict, level: int) -> str:
        # In the order of the dictionary: reprlib sorts it, which takes its time.
        if level <= 0:
            return "{...}"
        first = islice(x.items(), self.maxdict)
        parts = [f"{self.repr1(k, level - 1)}: {self.repr1(v, level - 1)}" for k, v in first]
        return "{" + ", ".join(parts + ["..."] * (len(x) > self.maxdict)) + "}"

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write out an int of thousands of digits.
        return repr(x) if x.bit_length() < 1000 else f"<int of {x.bit_length():,} bits>"


def quoted(value: object, limit: int = 100) -> str:
    """
    The `repr` of a value, shortened to `limit` characters of it, so that no message grows with the
    data that it is about.
    """
    if isinstance(value, str):
        # A slice first: the `repr` of a long string is up to ten times as long.
        size = len(value)
        return repr(value[:limit]) + (f"... ({size:,} characters)" if size > limit else "")
    shown = _Short(limit).repr(value)
    return shown if len(shown) <= limit else f"{shown[:limit]}..."
