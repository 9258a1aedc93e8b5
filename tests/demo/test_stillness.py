"""What the demo's watcher counts as time that the machine took away."""

from pathlib import Path

import pytest

from dispatcher.demo.stillness import NAP, Stillness, stolen_seconds, watch

SLOT = 1_000


class Machine:
    """Its clock and what is stolen from it, both put by hand."""

    def __init__(self) -> None:
        self.at = 100.0
        self.stolen = 7.0

    def pass_time(self, seconds: float, stolen: float = 0.0) -> None:
        self.at += seconds
        self.stolen += stolen


@pytest.mark.parametrize(("naps", "found"), [
    ([(NAP, 0.0)] * 100, []),
    ([(NAP + 0.002, 0.001)] * 100, []),                             # a busy machine, but a whole one
    ([(NAP + 0.4, 0.0)], []),
    ([(NAP + 0.5, 0.0)], [500]),
    ([(NAP, 0.0), (NAP + 3.0, 0.0), (NAP, 0.0)], [3_000]),
    ([(NAP + 0.2, 0.0)] * 3, [600]),                                # of one slot together
    ([(NAP + 0.6, 0.0), *[(NAP, 0.0)] * 20, (NAP + 2.0, 0.0)], [600, 2_000]),
    ([(NAP, 0.04)] * 20, [800]),                                    # asleep in time, but the others were kept waiting
    ([(NAP + 0.6, 0.5)], [600]),                                    # the same time is not counted twice
])
def test_standstills(naps: list[tuple[float, float]], found: list[int]) -> None:
    machine = Machine()
    stillness = Stillness(SLOT, lambda: machine.at, lambda: machine.stolen)
    for seconds, stolen in naps:
        machine.pass_time(seconds, stolen)
        stillness.look()
    assert stillness.standstills() == found


def test_what_is_stolen_is_read_from_the_kernel(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  1 2 3 4 5 6 7 0 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
    assert stolen_seconds(stat) == 0.0
    stat.write_text("cpu  1 2 3 4 5 6 7 80000 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
    assert stolen_seconds(stat) > 0.0


@pytest.mark.parametrize("text", [None, "", "cpu 1 2 3\n", "cpu a b c d e f g h i\n"])
def test_a_kernel_that_does_not_say_steals_nothing(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "stat").write_text(text)
    assert stolen_seconds(tmp_path / "stat") == 0.0


def test_a_real_machine_is_watched_until_the_block_ends() -> None:
    with watch(SLOT) as stillness:
        assert isinstance(stillness.standstills(), list)
