"""The process beside a command (aside.py): it reads what to do, does it, writes what came of it, and so on to the end.

    python -m dispatcher.operations.helper

What comes and goes are pickles, on the two pipes that the command has made and nobody else has.
"""

import contextlib
import pickle
import sys

from dispatcher import collector


def main() -> None:
    """Serve until there is nothing more to read."""
    collector.spare(collector.COMMAND)
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            function, args = pickle.load(asked)  # noqa: S301 -- of the process that has started us
            try:
                answer = True, function(*args)
            except Exception as error:  # noqa: BLE001 -- it is the other's to raise
                answer = False, error
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()


if __name__ == "__main__":
    main()
