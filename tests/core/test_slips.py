"""A promise against what was released, as tables: slots of ten minutes, lane and sizes."""

import pytest

from dispatcher.core.slips import Kept, Met, Promised, Released, counted, match

LANE = "support/gmail"
ON, SMALLER, LATER, MISSING, COMING = Kept.ON_TIME, Kept.SMALLER, Kept.LATER, Kept.MISSING, Kept.COMING


def promise(*sizes: int, lane: str = LANE) -> list[Promised]:
    """A batch of each size in the slots 0-10, 10-20, ...; 0 is none."""
    return [Promised(lane, 10 * place, 10 * place + 10, size) for place, size in enumerate(sizes) if size]


def slots(*sizes: int, lane: str = LANE) -> list[Released]:
    """What the same slots released, a tick after their start."""
    return [Released(lane, 10 * place, 10 * place + 1, size) for place, size in enumerate(sizes)]


def short(met: list[Met]) -> list[tuple[Kept, int, int, int | None]]:
    return [(one.kept, one.in_time, one.missing, one.rest_at) for one in met]


@pytest.mark.parametrize(("promised", "released", "found"), [
    pytest.param(promise(5, 5), slots(5, 5), [(ON, 5, 0, None), (ON, 5, 0, None)], id="kept"),
    pytest.param(promise(5, 5), slots(5, 3, 2), [(ON, 5, 0, None), (SMALLER, 3, 0, 21)], id="smaller"),
    pytest.param(promise(5, 5), slots(0, 5, 5), [(LATER, 0, 0, 21), (ON, 5, 0, None)],
                 id="a slip stands where it came about, and the next batch is not one for it"),
    pytest.param(promise(5, 5), slots(0, 5, 3), [(LATER, 0, 2, None), (ON, 5, 0, None)], id="later, and not all of it"),
    pytest.param(promise(5, 5), slots(5), [(ON, 5, 0, None), (MISSING, 0, 5, None)], id="missing"),
    pytest.param(promise(5, 5), slots(0, 10), [(LATER, 0, 0, 11), (ON, 5, 0, None)], id="made up by the next slot"),
    pytest.param(promise(4, 4, 4), slots(2, 2, 8), [(SMALLER, 2, 0, 21), (SMALLER, 2, 0, 21), (ON, 4, 0, None)],
                 id="the oldest slip is made up first"),
    pytest.param(promise(4, 4, 4), slots(2, 2, 7), [(SMALLER, 2, 0, 21), (SMALLER, 2, 1, None), (ON, 4, 0, None)],
                 id="and the newest stays"),
    pytest.param(promise(5, 5, 5), slots(10, 0, 5), [(ON, 5, 0, None)] * 3, id="what leaves earlier is on time"),
    pytest.param(promise(5, 0, 5), slots(0, 8, 2), [(LATER, 0, 0, 11), (ON, 5, 0, None)],
                 id="a slot that was not promised makes up, then counts as ahead"),
    pytest.param(promise(5), [], [(MISSING, 0, 5, None)], id="nothing left"),
    pytest.param([], slots(5), [], id="nothing promised"),
])
def test_every_promised_batch_is_matched(
    promised: list[Promised], released: list[Released], found: list[tuple[Kept, int, int, int | None]],
) -> None:
    assert short(match(promised, released, 1_000)) == found


def test_batches_whose_time_is_not_over_are_still_to_come() -> None:
    met = match(promise(5, 5, 5), slots(5, 2), 19)
    assert [one.kept for one in met] == [ON, COMING, COMING]
    assert [one.slipped for one in match(promise(5, 5), slots(5), 20)] == [False, True]


def test_slots_that_a_reload_cut_anew_keep_the_promise_all_the_same() -> None:
    twice_as_long = [Released(LANE, 0, 0, 10), Released(LANE, 20, 20, 8)]
    assert short(match(promise(5, 5, 5, 5), twice_as_long, 1_000)) == [
        (ON, 5, 0, None), (ON, 5, 0, None), (ON, 5, 0, None), (SMALLER, 3, 2, None)]


def test_lanes_do_not_make_up_for_one_another() -> None:
    met = match([*promise(5), *promise(5, lane="news/other")], [*slots(0), *slots(10, lane="news/other")], 1_000)
    assert [(one.batch.lane, one.kept) for one in met] == [("news/other", ON), (LANE, MISSING)]
    assert counted(met) == {ON: 1, SMALLER: 0, LATER: 0, MISSING: 1, COMING: 0}
