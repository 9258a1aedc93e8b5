"""A stream with one line that does not end for a long while."""

import io


class Endless(io.RawIOBase):
    """So many bytes, all of them "x"."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # typeshed wants any writable buffer
        """The next of them."""
        taken = min(len(buffer), self.left)
        buffer[:taken] = b"x" * taken
        self.left -= taken
        return taken
