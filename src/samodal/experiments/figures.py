"""The paper's figures of results (4, 5, 6, 7, 8, and the prompts of Figure 10) from runs on a data set with truth.

`make_figures` reads finished runs, lets the rules of `samodal.experiments.scenes` choose what is shown, and writes the
pictures with captions that say the rule, the frames and the numbers.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from samodal.data.open import open_dataset
from samodal.drawing.overlay import TRAIL_FRAMES
from samodal.drawing.strips import Panel, Strip, save_figure
from samodal.errors import InputError
from samodal.experiments import scenes
from samodal.experiments.captions import LETTERS, RULES, TITLES, captions
from samodal.experiments.scenes import Scene, instance_at, pick
from samodal.files import write_json
from samodal.metrics.levels import results_by_video, truth_by_video
from samodal.metrics.regions import pair
from samodal.outputs import cannot_write
from samodal.results.frames import read_frames
from samodal.rle import Rle, iou
from samodal.tracks import Clip, FrameResult, Instance, State, Track

OURS, THEIRS = "S-AModal", "SAVOS"
"""The names of the two methods in `runs`."""
NONE_FOUND = "no scene in these clips fits the rule."


@dataclass(frozen=True, eq=False)
class Run:
    """One method on one clip.

    Attributes:
        results: by frame.
        predictions: the predicted track of each true instance that has one.
    """

    results: Sequence[FrameResult]
    predictions: Mapping[int | str, Track]


@dataclass(frozen=True, eq=False)
class Footage:
    """A clip with its truth and the runs on it, by method; `image` gives the (H, W, 3) uint8 RGB image of a frame."""

    truth: Clip
    runs: Mapping[str, Run]
    image: Callable[[int], np.ndarray]


@dataclass(frozen=True)
class Figure:
    """What a figure shows, by which rule, what could not be shown (empty: nothing), and whether truth has a row.

    Figure 7 has too many scenes for one: the true mask is outlined over the predicted one.
    """

    title: str
    rule: str
    methods: tuple[str, ...]
    scenes: Sequence[Scene]
    missing: str = ""
    truth_row: bool = True


def make_figures(data: str, clips: Sequence[str], runs: Mapping[str, Path], out: Path) -> dict:
    """Write figure4.jpg to figure8.jpg, figures.md (captions) and figures.json (the same as data).

    Args:
        data: as `samodal.data.open.open_dataset` takes it.
        clips: names of its clips to search.
        runs: by method, `OURS` and perhaps `THEIRS`: a folder with CLIP/frames.jsonl of each clip.
        out: folder, made if missing.

    Returns:
        What figures.json holds.

    Raises:
        InputError: if a run is missing or does not fit, or the truth does not hold whole amodal tracks.
    """
    if OURS not in runs:
        raise InputError(f"figures need the results of {OURS}; found {', '.join(runs) or 'none'}")
    dataset = open_dataset(data)
    footage = {name: _footage(dataset, name, runs) for name in clips}
    figures = _figures(list(footage.values()), THEIRS in runs)
    content: dict[str, Any] = {"data": data, "clips": list(clips), "figures": {}}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            (out / f"{name}.jpg").unlink(missing_ok=True)  # one of an earlier call would stand for this one
            strips = [_strip(scene, n, figure, footage) for n, scene in enumerate(figure.scenes)]
            if strips:
                save_figure(strips, out / f"{name}.jpg")
            content["figures"][name] = _described(name, figure, footage)
        (out / "figures.md").write_text(captions(content), encoding="utf-8")
    except OSError as error:
        raise cannot_write(out, error) from None
    write_json(out / "figures.json", content, indent=1)
    return content


def _footage(dataset, name: str, runs: Mapping[str, Path]) -> Footage:
    """A clip, its results paired with its truth as evaluation pairs them."""
    video, truth = dataset.video(name), dataset.truth(name)
    if not truth.linked or truth.labelled is not None or not any(any(track.amodal) for track in truth.tracks):
        raise InputError(f"clip {name}: figures need amodal truth of every frame, with the same id in all of them")
    by_method = {method: _run(folder / name, truth) for method, folder in runs.items()}
    return Footage(truth, by_method, lambda t: video.frame(t).image)


def _run(folder: Path, truth: Clip) -> Run:
    content = read_frames(folder / "frames.jsonl")
    if len(content.results) != len(truth):
        raise InputError(f"{folder}: {len(content.results)} frames, but the clip has {len(truth)}; run it to its end")
    clip = content.tracks()
    annotated = truth_by_video({truth.name: truth}, "amodal")
    pairs, _ = pair(annotated, results_by_video({truth.name: clip}, {truth.name: truth}, "amodal"))
    tracks = {track.id: track for track in clip.tracks}
    matched = zip(annotated.entries, pairs, strict=True)
    return Run(
        content.results, {true.id: tracks[prediction.id] for true, prediction in matched if prediction is not None}
    )


def _figures(footage: Sequence[Footage], both: bool) -> dict[str, Figure]:
    """Every figure's scenes. Figure 5 chooses first, then 4, 6 and 7: the last shows no instance again."""
    full = [scene for clip in footage for scene in scenes.full_occlusions(clip.truth)]
    partial = [scene for clip in footage for scene in scenes.partial_occlusions(clip.truth)]
    longest = pick(full, "hidden_frames", 1, set())
    taken = {scene.instance for scene in longest}
    followed = pick(full, "hidden_frames", 3, taken, prefer="person")
    taken |= {scene.instance for scene in followed}
    comparison = _comparison(footage, partial, both)
    taken |= {scene.instance for scene in comparison.scenes}
    return {
        "figure4": _figure("figure4", followed, 3),
        "figure5": _figure("figure5", longest, 1),
        "figure6": comparison,
        "figure7": replace(_figure("figure7", pick(partial, "hidden_share", 5, taken), 5), truth_row=False),
        "figure8": _failures(footage),
    }


def _figure(name: str, chosen: Sequence[Scene], wanted: int) -> Figure:
    few = f"Only {len(chosen)} of {wanted} scenes fit the rule in these clips." if len(chosen) < wanted else ""
    return Figure(TITLES[name], RULES[name], (OURS,), chosen, few)


def _comparison(footage: Sequence[Footage], partial: Iterable[Scene], both: bool) -> Figure:
    """Figure 6, left out where there is nothing to compare with."""
    runs = {clip.truth.name: clip.runs for clip in footage}
    chosen = []
    if both:
        known = (s for s in partial if all(s.id in runs[s.clip][method].predictions for method in (OURS, THEIRS)))
        chosen = pick(known, "hidden_area", 1, set())
    missing = "" if chosen else f"Left out: no results of {THEIRS} were given." if not both else NONE_FOUND
    return Figure(TITLES["figure6"], RULES["figure6"], (THEIRS, OURS), chosen, missing)


def _failures(footage: Sequence[Footage]) -> Figure:
    """Figure 8. The narrowest kind chooses first, so that a wider one does not take its scene."""
    ours = [(clip, clip.runs[OURS]) for clip in footage]
    kinds = {
        "beside": (s for clip, run in ours for s in scenes.beside(clip.truth, run.predictions, run.results)),
        "split": (s for clip, run in ours for s in scenes.split(clip.truth, run.predictions)),
        "spilled": (
            s for clip, run in ours for s in scenes.spilled(clip.truth, run.predictions, run.results, clip.image)
        ),
    }
    chosen: dict[str, Scene] = {}
    for kind, candidates in kinds.items():
        taken = {scene.instance for scene in chosen.values()}
        for scene in pick(candidates, scenes.KINDS[kind][1], 1, taken):
            chosen[kind] = scene
    none = [f"{scenes.KINDS[kind][0]}: {NONE_FOUND}" for kind in scenes.KINDS if kind not in chosen]
    shown = [chosen[kind] for kind in scenes.KINDS if kind in chosen]
    rule = " ".join([RULES["figure8"], *(f"{name}: {text}." for name, _, text in scenes.KINDS.values())])
    return Figure(TITLES["figure8"], rule, (OURS,), shown, " ".join(none))


def _strip(scene: Scene, n: int, figure: Figure, footage: Mapping[str, Footage]) -> Strip:
    clip = footage[scene.clip]
    true = _true(scene, clip)
    rows = {
        method: [_panel(scene, t, clip, method, not figure.truth_row) for t in scene.frames]
        for method in figure.methods
    }
    if figure.truth_row:
        rows["truth"] = [_truth_panel(scene, t, clip.truth) for t in scene.frames]
    letter = f"({LETTERS[n]})  " if len(figure.scenes) > 1 else ""
    heads = [f"frame {t}, {scenes.percent(true.occlusion(t))} hidden" for t in scene.frames]
    failed = None if scene.failed is None else scene.frames.index(scene.failed)
    title = f"{letter}{scene.clip}, {scene.category} {scene.id}: {scenes.in_words(scene)}"
    return Strip(title, [clip.image(t) for t in scene.frames], heads, rows, failed)


def _true(scene: Scene, clip: Footage) -> Track:
    return next(track for track in clip.truth.tracks if track.id == scene.id)


def _panel(scene: Scene, t: int, clip: Footage, method: str, with_truth: bool) -> Panel:
    run = clip.runs[method]
    true, track = _true(scene, clip), run.predictions.get(scene.id)
    focus = None if track is None else instance_at(run.results[t], track)
    shown = (instance for instance in run.results[t].instances if instance is not focus)
    others = [instance.visible for instance in shown if instance.visible is not None]
    state, score = _judged(t, true, track)
    trail = [] if track is None else _trail(run.results[:t], track)
    outlined = true.amodal[t] if with_truth else None
    return Panel(focus, others, f"{state}, IoU {score:.2f}", trail, outlined, _culprit(scene, t, clip.truth))


def _trail(results: Sequence[FrameResult], track: Track) -> list[np.ndarray]:
    """Where the points of a track were followed in the last frames of these, oldest first, without a break."""
    past = (instance_at(result, track) for result in results[: -TRAIL_FRAMES - 1 : -1])
    followed = (None if instance is None else instance.followed for instance in past)
    return list(takewhile(lambda xy: xy is not None, followed))[::-1]


def _truth_panel(scene: Scene, t: int, truth: Clip) -> Panel:
    true = next(track for track in truth.tracks if track.id == scene.id)
    state = State.HIDDEN if true.visible[t] is None else State.VISIBLE
    focus = Instance(true.id, true.category, None, state, true.visible[t], true.amodal[t])
    others = [track.visible[t] for track in truth.tracks if track is not true and track.visible[t] is not None]
    return Panel(focus, others, culprit=_culprit(scene, t, truth))


def _culprit(scene: Scene, t: int, truth: Clip) -> Rle | None:
    ids = (scene.other or ())[:1]
    return next((track.visible[t] for track in truth.tracks if track.id in ids), None)


def _judged(t: int, true: Track, track: Track | None) -> tuple[str, float]:
    """The state of a prediction in a frame and its IoU with the true amodal mask."""
    state = None if track is None else track.states[t]
    return "no mask" if state is None else str(state), iou(true.amodal[t], None if track is None else track.amodal[t])


def _described(name: str, figure: Figure, footage: Mapping[str, Footage]) -> dict:
    described = [_scene_described(scene, figure.methods, footage[scene.clip]) for scene in figure.scenes]
    file = f"{name}.jpg" if described else None
    return {"file": file, "title": figure.title, "rule": figure.rule, "missing": figure.missing, "scenes": described}


def _scene_described(scene: Scene, methods: Sequence[str], clip: Footage) -> dict:
    true, frames = _true(scene, clip), []
    for t in scene.frames:
        judged = {method: _judged(t, true, clip.runs[method].predictions.get(scene.id)) for method in methods}
        scored = {method: {"state": state, "iou": round(score, 4)} for method, (state, score) in judged.items()}
        frames.append({"frame": t, "hidden": round(true.occlusion(t), 6), "methods": scored})
    numbers = {name: round(float(value), 4) for name, value in scene.numbers.items()}
    own = {"clip": scene.clip, "id": scene.id, "category": scene.category, "words": scenes.in_words(scene)}
    stretch = {
        "first": scene.first,
        "last": scene.last,
        "failed": scene.failed,
        "other": scene.other and list(scene.other),
    }
    return own | stretch | {"numbers": numbers, "frames": frames}
