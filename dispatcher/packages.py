"""Whether the packages called `channels` and `config` are our own: other projects have packages of these names."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

OURS: Final = ("channels", "config")


def foreign() -> str:
    """What is wrong and what to do where a package beside us is not ours; "" where all is well."""
    home = Path(__file__).parent.parent
    for name in OURS:
        spec = find_spec(name)
        origin = spec.origin if spec is not None else None
        if origin is None or Path(origin).parent.parent != home:
            return (f'the package "{name}" is not this program\'s but {origin or "missing"}; install '
                    f"notification-dispatcher into a virtual environment of its own, and leave PYTHONPATH unset")
    return ""
