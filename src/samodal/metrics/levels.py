"""Clips of truth and of results as the entries that evaluation counts, by image and by video."""

from collections.abc import Mapping, Sequence
from operator import itemgetter

from samodal.columns import Column, present
from samodal.errors import InputError
from samodal.results.entries import Annotated, Entry
from samodal.tracks import Clip, Track

SCORE_RULE = (
    "frame: its own score, else the track's, else 1; times 0.5 where the frame has no visible mask and no score "
    "of its own. track: its own score, else the mean over its frames with a visible mask. Ties keep the file's order."
)
"""What stands in for a score that a method does not give."""


def truth_by_video(clips: Mapping[str, Clip], masks: str) -> Annotated:
    """An entry per track with any mask, its columns cut to the labelled frames; groups are clip names.

    Raises:
        InputError: if amodal masks are to be scored and the truth has visible masks alone, as KITTI MOTS.
    """
    _check_masks(clips, masks, "truth has")
    entries = []
    for name, clip in clips.items():
        for track in clip.tracks:
            column = _column(track, masks, labelled(clip))
            if any(column):
                visible = _column(track, "visible", labelled(clip))
                shares = {i: track.occlusion(t) for i, t in enumerate(labelled(clip)) if track.amodal[t]}
                rates = Column(len(column), shares)
                entries.append(
                    Entry(
                        name,
                        track.id,
                        column,
                        visible,
                        occlusion=rates,
                        crowd=track.crowd,
                        category=track.category,
                    )
                )
    return Annotated(
        {name: clip.size for name, clip in clips.items()},
        {name: len(labelled(clip)) for name, clip in clips.items()},
        entries,
        {name: name for name in clips},
    )


def truth_by_image(videos: Annotated) -> Annotated:
    """The same by frame: groups are (clip name, position among the labelled frames)."""
    groups = [(name, i) for name, length in videos.lengths.items() for i in range(length)]
    return Annotated(
        {group: videos.sizes[group[0]] for group in groups},
        dict.fromkeys(groups, 1),
        [frame for entry in videos.entries for frame in _frames(entry)],
        {group: group[0] for group in groups},
    )


def _frames(entry: Entry) -> list[Entry]:
    return [
        Entry(
            (entry.group, i),
            entry.id,
            (mask,),
            (entry.visible[i],) if entry.visible is not None else None,
            occlusion=(entry.occlusion[i],) if entry.occlusion is not None else None,
            crowd=entry.crowd,
            category=entry.category,
        )
        for i, mask in enumerate(entry.masks)
        if mask is not None
    ]


def results_by_video(
    results: Mapping[str, Clip], truth: Mapping[str, Clip], masks: str, scores: str = "given"
) -> list[Entry]:
    """An entry per track with any mask, on the labelled frames of the truth; see `SCORE_RULE`.

    Args:
        results: by clip name; none of the instances of a clip without results count as found.
        truth: by clip name.
        masks: "amodal" or "visible".
        scores: "given"; else each is 1.

    Raises:
        InputError: if there are results of a clip that the truth does not have, or of other frames, or amodal masks
            are to be scored and the results have visible ones alone.
    """
    _check_masks(results, masks, "results have")
    entries = []
    for name, clip in results.items():
        for track, frames in _joined(clip, truth, name):
            column = _column(track, masks, frames)
            if any(column):
                score = _track_score(track) if scores == "given" else 1.0
                visible = _column(track, "visible", frames)
                entries.append(Entry(name, track.id, column, visible, score=score, category=track.category))
    return entries


def results_by_image(
    results: Mapping[str, Clip],
    truth: Mapping[str, Clip],
    masks: str,
    scores: str = "given",
    only_visible: bool = False,
) -> list[Entry]:
    """The same by frame, each with the score of its frame.

    Args:
        only_visible: leave out frames in which the front end did not report the instance.
    """
    entries = []
    for name, clip in results.items():
        for track, frames in _joined(clip, truth, name):
            column, visible = _column(track, masks, frames), _column(track, "visible", frames)
            for i, mask in sorted(present(column), key=itemgetter(0)):
                if not (only_visible and visible[i] is None):
                    score = _frame_score(track, frames[i]) if scores == "given" else 1.0
                    shown = (visible[i],)
                    entries.append(Entry((name, i), track.id, (mask,), shown, score=score, category=track.category))
    return entries


def _check_masks(clips: Mapping[str, Clip], masks: str, which: str) -> None:
    tracks = [track for clip in clips.values() for track in clip.tracks]
    if masks == "amodal" and any(any(t.visible) for t in tracks) and not any(any(t.amodal) for t in tracks):
        raise InputError(f"the {which} visible masks alone, no amodal ones: give --masks visible")


def labelled(clip: Clip) -> tuple[int, ...]:
    """Indices of the frames that have truth."""
    return tuple(range(len(clip))) if clip.labelled is None else clip.labelled


def _joined(clip: Clip, truth: Mapping[str, Clip], name: str) -> list[tuple[Track, list[int | None]]]:
    """Every track with the result frame of each labelled truth frame, None where it was not run on."""
    if name not in truth:
        some = ", ".join(list(truth)[:3])
        raise InputError(f"results of clip {name!r}, which the truth does not have (it has {some}, …)")
    frames = frame_map(clip, truth[name])
    return [(track, frames) for track in clip.tracks]


def frame_map(clip: Clip, truth: Clip) -> list[int | None]:
    """The result frame of each labelled frame of the truth, None where there is none.

    Frames are known by file name where the truth has all names of the results, else by position in equally long clips.

    Raises:
        InputError: if the results are of another video.
    """
    if clip.size != truth.size:
        raise InputError(
            f"clip {clip.name}: results of {clip.size[0]}x{clip.size[1]} (height x width) but the truth has "
            f"{truth.size[0]}x{truth.size[1]}; were they made on another video?"
        )
    position = {name: t for t, name in enumerate(clip.frames)}
    if set(position) <= set(truth.frames):
        return [position.get(truth.frames[t]) for t in labelled(truth)]
    if len(clip) != len(truth):
        raise InputError(
            f"clip {clip.name}: results of {len(clip)} frames, the first named {clip.frames[0]}, but the truth has "
            f"{len(truth)}, the first named {truth.frames[0]}; were they made on another video?"
        )
    return list(labelled(truth))


def _column(track: Track, masks: str, frames: Sequence[int | None]) -> Column:
    column = track.amodal if masks == "amodal" else track.visible
    known = dict(present(column))
    return Column(len(frames), {i: known[t] for i, t in enumerate(frames) if t in known} if known else None)


def _frame_score(track: Track, t: int) -> float:
    if track.scores[t] is not None:
        return track.scores[t]
    whole = 1.0 if track.score is None else track.score
    return whole if track.visible[t] is not None else 0.5 * whole


def _track_score(track: Track) -> float:
    if track.score is not None:
        return track.score
    visible = [t for t, mask in enumerate(track.visible) if mask is not None]
    frames = visible or [t for t, mask in enumerate(track.amodal) if mask is not None]
    return sum(_frame_score(track, t) for t in frames) / len(frames)
