"""Truth with the mistakes of a VIS method: what each severity does, and that it is repeatable and looks not ahead."""

import numpy as np
import pytest

from made_up import SIZE, square
from samodal.errors import InputError
from samodal.frontends.degraded import SEVERITIES, Degraded, DegradedSession, Severity
from samodal.frontends.replay import Replay
from samodal.rle import Rle
from samodal.tracks import Clip, Track
from samodal.video import ArrayVideo

FRAME = np.zeros((*SIZE, 3), np.uint8)


def clip(length: int = 60) -> Clip:
    """A square that is hidden in frames 20 to 24, and a larger one that stays."""
    passing = tuple(None if 20 <= t < 25 else Rle.encode(square(5 + t, 5)) for t in range(length))
    staying = tuple(Rle.encode(square(60, 25, 30)) for _ in range(length))
    names = tuple(f"{t:06d}" for t in range(length))
    tracks = (Track(1, "car", None, passing, passing), Track(2, "truck", None, staying, staying))
    return Clip("made up", SIZE, names, tracks)


def run(severity: Severity, seed: int = 0, length: int = 60, name: str = "made up") -> list[list]:
    session = DegradedSession(Replay(clip(length), "made up"), severity, seed, name)
    return [session.step(FRAME, t) for t in range(length)]


def told(found: list[list]) -> list[list]:
    return [[(one.id, one.category, one.score, one.mask.counts) for one in frame] for frame in found]


def test_no_mistakes_leave_truth_as_it_is():
    assert told(run(Severity())) == told([Replay(clip(), "").step(FRAME, t) for t in range(60)])


def test_new_ids_change_nothing_but_the_id_after_a_gap():
    found = run(SEVERITIES["new-ids"])
    assert {one.id for frame in found[:20] for one in frame} == {1, 2}
    assert {one.id for frame in found[25:] for one in frame} == {"1-2", 2}
    truth = run(Severity())
    assert [[o.mask for o in f] for f in found] == [[o.mask for o in f] for f in truth]


@pytest.mark.parametrize("severity", SEVERITIES)
def test_the_same_seed_gives_the_same_mistakes_whatever_follows(severity):
    assert told(run(SEVERITIES[severity])) == told(run(SEVERITIES[severity]))
    # The square that leaves at the right is the same in a longer clip.
    assert told(run(SEVERITIES[severity], length=40)) == told(run(SEVERITIES[severity]))[:40]


def test_other_seeds_and_clips_give_other_mistakes():
    first = told(run(SEVERITIES["severe"]))
    assert first != told(run(SEVERITIES["severe"], seed=1))
    assert first != told(run(SEVERITIES["severe"], name="another"))


def test_a_reset_starts_afresh():
    session = DegradedSession(Replay(clip(), ""), SEVERITIES["severe"], 0, "made up")
    first = told([session.step(FRAME, t) for t in range(60)])
    session.reset()
    assert told([session.step(FRAME, t) for t in range(60)]) == first


def test_worse_severities_miss_more_and_are_rougher_and_less_sure():
    def measures(severity: str) -> tuple[float, float, float]:
        truth = [mask for frame in run(Severity()) for mask in frame if mask.id == 2]
        shown, ious, scores = 0, [], []
        for seed in range(10):
            found = [(t, one) for t, frame in enumerate(run(SEVERITIES[severity], seed)) for one in frame]
            ours = [(t, one) for t, one in found if str(one.id).startswith("2")]
            shown += len(ours)
            ious += [one.mask.iou(truth[t].mask) for t, one in ours]
            scores += [one.score for _, one in ours]
        return shown, float(np.mean(ious)), float(np.mean(scores))

    mild, medium, severe = (measures(name) for name in ("mild", "medium", "severe"))
    assert all(a > b > c for a, b, c in zip(mild, medium, severe, strict=True))
    assert mild[1] > 0.9 and severe[1] > 0.6


def test_a_late_start_comes_after_each_appearance():
    firsts, returns = set(), set()
    for seed in range(20):
        shown = [any(one.id == 1 for one in frame) for frame in run(Severity(late=3), seed, 30)]
        firsts.add(shown.index(True))
        returns.add(shown.index(True, 20))
    assert firsts == {0, 1, 2, 3}
    assert returns == {25, 26, 27, 28}


def test_what_is_covered_ends_early():
    # Four, three, two, one quarter of a square are visible.
    column = tuple(Rle.encode(square(10, 10, 16) & (np.indices(SIZE)[1] < 10 + width)) for width in (16, 12, 8, 4))
    made = Clip("c", SIZE, ("0", "1", "2", "3"), (Track(1, "car", None, column, column),))
    session = DegradedSession(Replay(made, ""), Severity(sliver=0.4), 0, "c")
    assert [len(session.step(FRAME, t)) for t in range(4)] == [1, 1, 1, 0]


def test_a_burst_of_misses_ends():
    found = run(Severity(miss=0.2, burst=3))
    shown = np.array([any(one.id == 2 for one in frame) for frame in found])
    assert 10 < shown.sum() < 55


def test_false_instances_last_a_few_frames_and_lie_in_the_image():
    found = run(Severity(false=0.3, score=0.8))
    wrong = {}
    for t, frame in enumerate(found):
        for one in frame:
            if str(one.id).startswith("false"):
                assert one.mask and one.mask.size == SIZE and 0 < one.score < 0.8
                wrong.setdefault(one.id, []).append(t)
    assert len(wrong) > 5
    assert max(len(frames) for frames in wrong.values()) <= 6


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_pixel_belongs_to_one_instance_and_an_id_appears_once(severity):
    for frame in run(SEVERITIES[severity]):
        assert len({one.id for one in frame}) == len(frame)
        assert sum((one.mask.decode().astype(int) for one in frame), np.zeros(SIZE, int)).max(initial=0) <= 1
        assert all(one.mask for one in frame)


@pytest.mark.parametrize("severity", [None, "", "harsh"])
def test_an_unknown_severity_is_told_with_the_known_ones(severity):
    with pytest.raises(InputError, match="new-ids, mild, medium, severe"):
        Degraded(severity)


def test_a_plain_video_has_no_truth_to_degrade():
    video = ArrayVideo("drive", FRAME[None])
    with pytest.raises(InputError, match="degraded needs a data set"):
        Degraded("mild").open(video)
