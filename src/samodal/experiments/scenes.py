"""Scenes for the paper's figures, found by rule: occlusions in the truth alone, failures in truth and results.

Nothing is picked by hand and, but for the failures, nothing by how good the result is. Every threshold has a name
here, and the captions quote it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import cv2
import numpy as np

from samodal.rle import Rle, difference, overlap
from samodal.tracks import Clip, FrameResult, Instance, State, Track

CLEAR = 0.75
"""Least visible share of an instance in the frames before and after its occlusion."""
WINDOW = 15
"""Frames before and after the occlusion within which such a frame must lie, without the instance leaving the image."""
HEAVY = 0.5
"""Least hidden share in a heavy partial occlusion."""
LEAST_AREA = 0.001
"""Least amodal area, as a share of the image: what is smaller cannot be seen in print."""
STEP = 4
"""Frames between those shown around a failure."""

SPILL = 0.2
"""Texture: least share of the predicted mask that lies on one other instance and outside the true mask."""
NEAR_COLOUR = 20.0
"""Texture: greatest distance of the mean colours of the two visible parts in CIE Lab (L of 0 to 100)."""
PARTLY = 0.1
"""Texture: least hidden share; what is less occluded is not what the paper shows."""
PART = 0.05
"""Split: least share of the amodal mask in each of the two visible pieces."""
BETWEEN = 0.1
"""Split: least share of the amodal mask that is hidden between the two pieces, in columns and rows."""
MISSED = 0.05
"""Split: least share of the amodal mask that is hidden and that the prediction leaves out; less is no failure."""
BESIDE = 5.0
"""Prompt beside the occluder: greatest distance of a prompt point from its visible mask, in pixels. Farther in the kind
"texture", so that no frame is of both kinds."""
OCCLUDES = 0.1
"""Prompt beside the occluder: least share of the amodal mask that the other instance hides."""

KINDS = {
    "spilled": (
        "Texture",
        "spilled_share",
        f"at least {PARTLY:.0%} of the instance is hidden, and at least {SPILL:.0%} of the predicted mask "
        "lies, outside the true one, on one other instance, the mean colour of whose visible part differs by at most "
        f"{NEAR_COLOUR:.0f} in CIE Lab, while no prompt point is within {BESIDE:.0f} pixels of it; the "
        "largest such share",
    ),
    "split": (
        "Split by a pillar",
        "missed_share",
        f"two visible pieces, of at least {PART:.0%} of the true amodal mask each, with at least "
        f"{BETWEEN:.0%} of it hidden between them in columns and rows, and at least {MISSED:.0%} of it "
        "hidden and not in the prediction; the largest such miss",
    ),
    "beside": (
        "Prompt beside the occluder",
        "mistaken_share",
        f"a prompt point at most {BESIDE:.0f} pixels from the visible mask of an instance that hides at least "
        f"{OCCLUDES:.0%} of the prompted one, and more of the predicted mask on that than on the true amodal mask; "
        "the largest share on the occluder",
    ),
}
"""The kinds of Figure 8 in the paper's order: name, the number that the worst is found by, and rule."""


@dataclass(frozen=True)
class Scene:
    """A stretch of frames of one instance.

    Attributes:
        clip, id, category: of the instance, as the truth names it.
        first, last: the stretch itself, both included.
        frames: those to show, ascending.
        numbers: what it was ranked by, and what else the rule measured.
        failed: the frame that the rule speaks of, for failures.
        other: the other instance that the rule speaks of, for failures, as (id, category).
    """

    clip: str
    id: int | str
    category: str
    first: int
    last: int
    frames: tuple[int, ...]
    numbers: dict[str, float]
    failed: int | None = None
    other: tuple[int | str, str] | None = None

    @property
    def instance(self) -> tuple[str, int | str]:
        """Its identity in the data set."""
        return self.clip, self.id


def full_occlusions(truth: Clip) -> Iterator[Scene]:
    """Stretches without a visible pixel, seen clearly before and after; shown: before, first, middle, last, after.

    `numbers`: hidden_frames, the length of the stretch.
    """
    for track in truth.tracks:
        for first, last in _runs(track, lambda t, track=track: track.visible[t] is None):
            ends = _ends(track, first, last, truth.size)
            if ends is not None:
                shown = (ends[0], first, (first + last) // 2, last, ends[1])
                yield _scene(truth, track, first, last, shown, {"hidden_frames": last - first + 1})


def partial_occlusions(truth: Clip) -> Iterator[Scene]:
    """Stretches in which at least `HEAVY` is hidden, never all, seen clearly before and after.

    Shown: before, the frame with the largest hidden share, and after.
    `numbers`: hidden_share and hidden_area (pixels), each summed over the frames of the stretch, and largest_share.
    """
    for track in truth.tracks:
        rates = [track.occlusion(t) for t in range(len(truth))]
        for first, last in _runs(track, lambda t, rates=rates: rates[t] >= HEAVY):
            ends = _ends(track, first, last, truth.size)
            inside = range(first, last + 1)
            peak = max(inside, key=lambda t, rates=rates: rates[t])
            if ends is None or track.visible[peak] is None:
                continue
            numbers = {
                "hidden_share": sum(rates[t] for t in inside),
                "hidden_area": sum(rates[t] * track.amodal[t].area for t in inside),
                "largest_share": rates[peak],
            }
            yield _scene(truth, track, first, last, (ends[0], peak, ends[1]), numbers)


def percent(share: float) -> str:
    """A share in whole percent; what is not all of it never reads 100%."""
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def in_words(scene: Scene) -> str:
    """What the rule measured of a scene."""
    numbers = scene.numbers
    if "hidden_frames" in numbers:
        return f"fully hidden for {numbers['hidden_frames']} frames ({scene.first} to {scene.last})"
    if "hidden_area" in numbers:
        length = f"{scene.last - scene.first + 1} frames ({scene.first} to {scene.last})"
        return f"{HEAVY:.0%} to {percent(numbers['largest_share'])} hidden for {length}"
    if "missed_share" in numbers:
        return f"split, {numbers['missed_share']:.0%} of it hidden and missed"
    other = f"{scene.other[1]} {scene.other[0]}"
    if "spilled_share" in numbers:
        colours = f"(colours {numbers['colour_distance']:.0f} apart)"
        return f"texture, {numbers['spilled_share']:.0%} of the mask lies on {other} {colours}"
    shares = f"{numbers['mistaken_share']:.0%} of the mask on that, {numbers['own_share']:.0%} on its own"
    return f"prompt {numbers['distance']:.0f} px beside {other}, {shares}"


def pick(
    scenes: Iterable[Scene], by: str, count: int, taken: set[tuple[str, int | str]], prefer: str | None = None
) -> list[Scene]:
    """The scenes with the largest number `by`, at most one of a clip and none of an instance in `taken`.

    Ties go by clip, then by first frame, then by id. Scenes of the class `prefer` come before all others.
    """
    chosen: dict[str, Scene] = {}
    order = sorted(scenes, key=lambda s: (s.category != prefer, -s.numbers[by], s.clip, s.first, str(s.id)))
    for scene in order:
        if len(chosen) < count and scene.clip not in chosen and scene.instance not in taken:
            chosen[scene.clip] = scene
    return list(chosen.values())


def spilled(
    truth: Clip,
    predictions: Mapping[int | str, Track],
    results: Sequence[FrameResult],
    image: Callable[[int], np.ndarray],
) -> Iterator[Scene]:
    """Paper, Figure 8, Video 1: the amodal mask of a partly visible instance flows over another one that looks alike.

    The prompt is not to blame: it is not beside the other one.

    Args:
        predictions: the predicted track of each true instance.
        image: gives the (H, W, 3) uint8 RGB image of a frame; asked for where the masks agree with the rule.

    `numbers`: spilled_share (of the predicted mask, on the other instance) and colour_distance.
    """
    for track, t, predicted in _prompted(truth, predictions):
        share, other = _largest_spill(truth, track, t, predicted)
        if other is None or share < SPILL or track.occlusion(t) < PARTLY:
            continue
        if _distance(results[t], predictions[track.id], other.visible[t]) <= BESIDE:
            continue
        colours = [_colour(image(t), shown.visible[t]) for shown in (track, other)]
        distance = float(np.linalg.norm(colours[0] - colours[1]))
        if distance <= NEAR_COLOUR:
            yield _failure(truth, track, t, {"spilled_share": share, "colour_distance": distance}, other)


def split(truth: Clip, predictions: Mapping[int | str, Track]) -> Iterator[Scene]:
    """Paper, Figure 8, Video 2: visible pieces left and right of an occluder, and the part between is not filled in.

    `numbers`: missed_share (hidden and not in the prediction) and between_share (hidden between the pieces), both of
    the true amodal mask.
    """
    for track, t, predicted in _prompted(truth, predictions):
        hidden = difference(track.amodal[t], track.visible[t])
        missed = 0.0 if hidden is None else (hidden.area - overlap(hidden, predicted)) / track.amodal[t].area
        if missed < MISSED:
            continue
        between = hidden_between(track.visible[t], track.amodal[t])
        if between >= BETWEEN:
            yield _failure(truth, track, t, {"missed_share": missed, "between_share": between})


def hidden_between(visible: Rle, amodal: Rle) -> float:
    """The share of an amodal mask that is hidden between two visible pieces left and right of an occluder.

    The pieces share no column but some rows: only what lies in the columns between and in these rows counts, so that
    two feet below a car are not split by it. Pieces of less than `PART` of the amodal mask are none.

    Returns:
        Of the pair of pieces with most between them, in [0, 1]; 0 where there is none.
    """
    x0, y0, x1, y1 = (int(v) for v in amodal.box)
    pixels, whole = (mask.decode()[y0:y1, x0:x1] for mask in (visible, amodal))
    count, _, stats, _ = cv2.connectedComponentsWithStats(pixels.astype(np.uint8), connectivity=8)
    pieces = [stats[n] for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] >= PART * amodal.area]
    return max((_between(a, b, whole & ~pixels) / amodal.area for a in pieces for b in pieces), default=0.0)


def _between(a: np.ndarray, b: np.ndarray, hidden: np.ndarray) -> int:
    """Hidden pixels right of piece a, left of piece b and in the rows of both; pieces are (x, y, w, h, area)."""
    rows = slice(max(a[1], b[1]), min(a[1] + a[3], b[1] + b[3]))
    return int(hidden[rows, a[0] + a[2] : b[0]].sum())


def beside(truth: Clip, predictions: Mapping[int | str, Track], results: Sequence[FrameResult]) -> Iterator[Scene]:
    """Paper, Figure 8, Video 3: a prompt point beside the occluder, and the mask is more of that than of the instance.

    `numbers`: mistaken_share (of the predicted mask, on the occluder and outside the instance), own_share (on the
    instance) and distance of the nearest prompt point from the occluder's visible mask in pixels.
    """
    for track, t, predicted in _prompted(truth, predictions):
        share, other = _largest_spill(truth, track, t, predicted)
        own = overlap(predicted, track.amodal[t]) / predicted.area
        if other is None or share <= own:
            continue
        hides = overlap(other.visible[t], track.amodal[t]) / track.amodal[t].area
        distance = _distance(results[t], predictions[track.id], other.visible[t])
        if hides >= OCCLUDES and distance <= BESIDE:
            yield _failure(truth, track, t, {"mistaken_share": share, "own_share": own, "distance": distance}, other)


def instance_at(result: FrameResult, track: Track) -> Instance | None:
    """The instance of a track in a frame's result, None where it has no mask there."""
    mask = track.amodal[result.t]  # ids may be used again after a cut, but this mask is of one instance
    with_mask = [instance for instance in result.instances if instance.amodal is not None]
    return next((instance for instance in with_mask if instance.amodal.rle is mask), None)


def _runs(track: Track, holds: Callable[[int], bool]) -> Iterator[tuple[int, int]]:
    """First and last frame of each run of frames, with an amodal mask, in which something holds."""
    held = [mask is not None and holds(t) for t, mask in enumerate(track.amodal)]
    for yes, run in groupby(range(len(held)), key=held.__getitem__):
        frames = list(run)
        if yes:
            yield frames[0], frames[-1]


def _ends(track: Track, first: int, last: int, size: tuple[int, int]) -> tuple[int, int] | None:
    """The nearest frames before and after a stretch with `CLEAR` of an instance of `LEAST_AREA` visible."""
    before = _clear(track, range(first - 1, max(first - 1 - WINDOW, -1), -1), size)
    after = _clear(track, range(last + 1, min(last + 1 + WINDOW, len(track.amodal))), size)
    return None if before is None or after is None else (before, after)


def _clear(track: Track, frames: range, size: tuple[int, int]) -> int | None:
    for t in frames:
        if track.amodal[t] is None:
            return None
        if 1 - track.occlusion(t) >= CLEAR:
            return t if _large(track.amodal[t], size) else None
    return None


def _large(mask: Rle, size: tuple[int, int]) -> bool:
    return mask.area >= LEAST_AREA * size[0] * size[1]


def _prompted(truth: Clip, predictions: Mapping[int | str, Track]) -> Iterator[tuple[Track, int, Rle]]:
    """(true track, frame, predicted mask) wherever a large enough, visible instance was prompted."""
    for track in truth.tracks:
        other = predictions.get(track.id)
        for t, mask in enumerate(track.amodal if other is not None else ()):
            large = mask is not None and track.visible[t] is not None and _large(mask, truth.size)
            if large and other.states[t] == State.VISIBLE and other.amodal[t] is not None:
                yield track, t, other.amodal[t]


def _largest_spill(truth: Clip, track: Track, t: int, predicted: Rle) -> tuple[float, Track | None]:
    """The share of a predicted mask that lies falsely on one other instance's visible mask, and whose it is."""
    false = difference(predicted, track.amodal[t])
    if false is None:
        return 0.0, None
    others = [other for other in truth.tracks if other.id != track.id and other.visible[t] is not None]
    shares = [overlap(false, other.visible[t]) / predicted.area for other in others]
    return max(zip(shares, others, strict=True), key=lambda pair: pair[0], default=(0.0, None))


def _colour(image: np.ndarray, mask: Rle) -> np.ndarray:
    """(3,) the mean colour under a mask in CIE Lab."""
    mean = image[mask.decode()].mean(axis=0, dtype=np.float32) / 255
    return cv2.cvtColor(mean[None, None].astype(np.float32), cv2.COLOR_RGB2LAB)[0, 0]


def _distance(result: FrameResult, track: Track, mask: Rle) -> float:
    """From the nearest prompt point of a track to a mask, in pixels; infinite where it was not prompted by points."""
    points = instance_at(result, track).points
    rows, columns = np.nonzero(mask.decode())
    return min(
        (float(np.hypot(columns - x, rows - y).min()) for x, y in ([] if points is None else points)), default=np.inf
    )


def _failure(truth: Clip, track: Track, t: int, numbers: dict[str, float], other: Track | None = None) -> Scene:
    around = (t + STEP * n for n in range(-2, 3))
    shown = (s for s in around if 0 <= s < len(truth) and track.amodal[s] is not None)
    return _scene(truth, track, t, t, tuple(shown), numbers, t, None if other is None else (other.id, other.category))


def _scene(truth: Clip, track: Track, first: int, last: int, shown: Sequence[int], numbers: dict, *failure) -> Scene:
    frames = tuple(sorted(set(shown)))
    return Scene(truth.name, track.id, track.category, first, last, frames, numbers, *failure)
