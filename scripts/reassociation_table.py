r"""What re-association is worth: ids, HOTA, IDF1 and vAP with and without it.

    python scripts/reassociation_table.py --data streetsim:data/test --clips 0:60 --out runs/reassociation
    python scripts/reassociation_table.py --kitti ../shared/real/kitti_mots_labels --out runs/reassociation

--data: clips of StreetSim in which something is fully hidden for a while, with truth and with truth spoilt by each
severity as front ends, run with and without --reassociate. --kitti: KITTI MOTS masks without images, in which every
id is replaced by a new one after each gap of gaps.json: of the amodal memory only motion and shape remain. Its floor
moves the last visible mask on at the last velocity; a row without any ids is what a segmenter of single frames
would give. Writes OUT/reassociation.json with settings, commit, hardware and cost, and OUT/reassociation.md. Finished
runs are kept in OUT/runs and not run again; delete them when the code has changed.
"""

import argparse
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from samodal.patches import Patch

from samodal.build import found_device
from samodal.data.open import open_dataset
from samodal.experiments.data import chosen
from samodal.experiments.machine import machine
from samodal.experiments.report import markdown
from samodal.experiments.runs import Run, in_processes, run_clip
from samodal.frontends.replay import Replay
from samodal.method.association import Association, AssociationRules, Detection
from samodal.metrics.identity import count_identities, identity_scores
from samodal.results.kitti_mots import read_kitti_text
from samodal.rle import Rle
from samodal.settings import RunSettings
from samodal.tracks import Clip, FrameResult, Instance, State, VisibleInstance, clip_from_results
from samodal.training.card import commit

FRONT_ENDS = ("truth", "degraded:new-ids", "degraded:mild", "degraded:medium", "degraded:severe")
KITTI_SIZE = (375, 1242)
FLOOR_IOU = 0.1
"""Least IoU of the floor: it may be generous, as it is compared by what it finds and by what it confuses."""


@dataclass(frozen=True)
class Job:
    """A clip, and its run for each (front end, re-associated or not)."""

    data: str
    clip: str
    runs: dict[tuple[str, bool], Run]


def main() -> None:
    given = _arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    start, record = time.perf_counter(), {}
    if given.data:
        given.device = found_device(given.device)
        record["streetsim"] = streetsim(given)
    if given.kitti:
        record["kitti"] = kitti(given.kitti)
    facts = {"settings": vars(given), "cost_s": round(time.perf_counter() - start)}
    record |= facts | {"machine": machine(given.device), "commit": commit()}
    (given.out / "reassociation.json").write_text(json.dumps(record, indent=1, default=str))
    (given.out / "reassociation.md").write_text(_markdown(record))
    print(_markdown(record))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a split that `samodal synth` wrote, as in streetsim:data/test")
    parser.add_argument("--kitti", type=Path, help="folder with instances_txt and gaps.json")
    parser.add_argument(
        "--clips", help="FIRST:LAST, as in 0:60, of those with something fully hidden; all if not given"
    )
    parser.add_argument("--front-ends", nargs="+", default=FRONT_ENDS)
    parser.add_argument("--method", default="samodal")
    parser.add_argument("--weights", default="streetsim-small", help="of the amodal SAM")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=1, help="processes, each with its own models")
    parser.add_argument("--out", type=Path, default=Path("runs/reassociation"))
    given = parser.parse_args()
    if not (given.data or given.kitti):
        parser.error("give --data, --kitti, or both")
    return given


def streetsim(given: argparse.Namespace) -> dict:
    """{"clips": names, "gaps": their number, "rows": {front end: {"off", "on": scores}}}"""
    names = chosen(_with_gaps(given.data), given.clips)
    jobs = [_job(given, clip) for clip in names]
    truth, results = {}, {key: {} for key in jobs[0].runs}
    for job, true, found in in_processes(run_job, jobs, given.workers, "clips"):
        truth[job.clip] = true
        for key, clip in found.items():
            results[key][job.clip] = clip
    rows = {}
    for (front_end, repaired), found in results.items():
        rows.setdefault(front_end, {})["on" if repaired else "off"] = _scores(found, truth)
    return {"clips": names, "rows": rows}


def _with_gaps(data: str) -> list[str]:
    """The clips in which something visible is not visible for a while and then visible again."""
    dataset = open_dataset(data)
    return [clip for clip in dataset.sequences if any(_returns(t.visible) for t in dataset.truth(clip).tracks)]


def _returns(column: tuple) -> bool:
    shown = np.flatnonzero([mask is not None for mask in column])
    return bool((np.diff(shown) > 1).any())


def _job(given: argparse.Namespace, clip: str) -> Job:
    runs = {}
    for front_end in given.front_ends:
        for repaired in (False, True):
            settings = RunSettings(
                data=given.data, vis=front_end, reassociate=repaired, method=given.method, weights=given.weights,
                device=given.device, overlay=False,
            )  # fmt: skip
            name = f"{re.sub('[^A-Za-z0-9=_.-]+', '-', front_end)}-{'on' if repaired else 'off'}"
            runs[front_end, repaired] = (settings, clip, given.out / "runs" / given.method / name / clip)
    return Job(given.data, clip, runs)


def run_job(job: Job) -> tuple[Job, Clip, dict[tuple[str, bool], Clip]]:
    """Run what is missing of a clip, and read its truth and all its results."""
    from samodal.metrics.evaluate import read_runs

    run_clip(list(job.runs.values()))
    found = {key: read_runs(out / "tracks.json")[job.clip] for key, (_, _, out) in job.runs.items()}
    return job, open_dataset(job.data).truth(job.clip), found


def _scores(results: dict[str, Clip], truth: dict[str, Clip]) -> dict:
    """Identities of visible and amodal masks, and vAP of amodal masks."""
    from samodal.metrics.evaluate import ScoringRules, score_clips

    video = score_clips(results, truth, ScoringRules(level="video"))["video"].metrics
    scores = {
        masks: identity_scores(count_identities(results, truth, masks).values()) for masks in ("visible", "amodal")
    }
    return scores | {"vAP": video["AP"], "vAP50": video["AP50"]}


@dataclass(frozen=True)
class Gap:
    """A stretch of a KITTI sequence in which a track has no mask: its last frame before, its first after."""

    clip: str
    track: int
    before: int
    after: int


def kitti(folder: Path) -> dict:
    """{"gaps": number, "rows": {what is done: scores}} over all sequences of the folder."""
    gaps = [
        Gap(one["seq"], one["track"], one["last_visible"], one["first_visible_again"])
        for one in json.loads((folder / "gaps.json").read_text())
    ]
    paths = sorted((folder / "instances_txt").glob("*.txt"))
    truth = {path.stem: read_kitti_text(path, path.stem, KITTI_SIZE, None) for path in paths}
    renamed = {name: rename(clip, gaps) for name, clip in truth.items()}
    ways = {
        "no re-association": lambda: None,
        "floor: last mask at the last velocity": Floor,
        "ours: motion and shape": Association,
        "ours, without any ids": lambda: Association(AssociationRules(trust=0.0)),
    }
    rows = {}
    for name, make in ways.items():
        found = {clip: repaired(renamed[clip], make()) for clip in truth}
        counts = count_identities(found, truth)
        again = sum(_same(found[gap.clip], truth[gap.clip], gap) for gap in gaps)
        rows[name] = identity_scores(counts.values()) | {"gaps": len(gaps), "found_again": again / len(gaps)}
    return {"rows": rows}


def rename(clip: Clip, gaps: list[Gap]) -> Clip:
    """The clip with a new id after each gap: "1003" becomes "1003.91" from frame 91 on."""
    tracks = []
    for track in clip.tracks:
        starts = [0, *(gap.after for gap in gaps if (gap.clip, gap.track) == (clip.name, track.id))]
        for start, end in zip(starts, [*starts[1:], len(clip)], strict=True):
            column = tuple(mask if start <= t < end else None for t, mask in enumerate(track.visible))
            name = f"{track.id}.{start}" if start else track.id
            tracks.append(replace(track, id=name, visible=column))
    return replace(clip, tracks=tuple(tracks))


def repaired(clip: Clip, association: Association | None) -> Clip:
    """The clip with the ids that an association gives, None: with its own."""
    if association is None:
        return clip
    return clip_from_results(clip.name, clip.size, clip.frames, _results(clip, association))


def _results(clip: Clip, association: Association) -> Iterator[FrameResult]:
    replay, blank = Replay(clip, clip.name), np.broadcast_to(np.uint8(0), (*clip.size, 3))
    for t in range(len(clip)):
        visible = replay.step(blank, t)
        found = association.step([Detection(one.category, one.score, one.mask, one.id) for one in visible])
        yield FrameResult(t, t / 10, tuple(_shown(one) for one in found))


def _shown(one: VisibleInstance) -> Instance:
    mask = Rle.encode(one.mask)
    return Instance(one.id, one.category, one.score, State.VISIBLE, mask, mask)


def _same(found: Clip, truth: Clip, gap: Gap) -> bool:
    """Whether the mask before a gap and the mask after it have one id."""
    (track,) = (one for one in truth.tracks if one.id == gap.track)
    before, after = (_id_of(found, t, track.visible[t]) for t in (gap.before, gap.after))
    return before is not None and before == after


def _id_of(found: Clip, t: int, mask: Rle) -> int | str | None:
    return next((one.id for one in found.tracks if one.visible[t] == mask), None)


class Floor:
    """Keeps the ids it is given; a new one takes over the unseen instance whose last mask, moved on, it overlaps most.

    The velocity is that of the box's centre over the last two sightings.
    """

    def __init__(self):
        self._t, self._names, self._seen = -1, {}, {}

    def step(self, detections: list[Detection]) -> list[VisibleInstance]:
        self._t += 1
        patches = [Patch.of(one.mask) for one in detections]
        taken = {self._names[one.hint] for one in detections if one.hint in self._names}
        for one, patch in zip(detections, patches, strict=True):
            if one.hint not in self._names:
                self._names[one.hint] = self._nearest(patch, one.category, taken) or one.hint
                taken.add(self._names[one.hint])
        names = [self._names[one.hint] for one in detections]
        for name, one, patch in zip(names, detections, patches, strict=True):
            self._seen[name] = (one.category, [*self._seen.get(name, (None, []))[1][-1:], (self._t, patch)])
        return [VisibleInstance(name, o.category, o.score, o.mask) for name, o in zip(names, detections, strict=True)]

    def _nearest(self, patch: Patch, category: str, taken: set) -> int | str | None:
        known = {name: seen for name, (kind, seen) in self._seen.items() if kind == category and name not in taken}
        overlaps = {name: self._iou(patch, seen) for name, seen in known.items()}
        best = max(overlaps, key=overlaps.get, default=None)
        return best if best is not None and overlaps[best] >= FLOOR_IOU else None

    def _iou(self, patch: Patch, seen: list) -> float:
        (before, a), (now, b) = seen[0], seen[-1]
        velocity = (b.centre - a.centre) / max(1, now - before)
        moved = b.moved((self._t - now) * velocity)
        shared = patch.overlap(moved)
        return shared / (patch.area + moved.area - shared)


def _markdown(record: dict) -> str:
    lines = []
    if "streetsim" in record:
        lines += [f"### {record['settings']['data']}, {len(record['streetsim']['clips'])} clips with returns", ""]
        lines += [_streetsim_rows(record["streetsim"]["rows"]), ""]
    if "kitti" in record:
        lines += ["### KITTI MOTS masks, new ids after every gap, no images", ""]
        lines += [_kitti_rows(record["kitti"]["rows"]), ""]
    lines += [f"In percent, but for counts. {record['machine']}, {record['cost_s']} s, commit {record['commit']}."]
    return "\n".join(lines) + "\n"


def _streetsim_rows(rows: dict) -> str:
    head = ["front end", "re-associated", "id switches", "wrong merges", "gaps", "old id again", "HOTA", "IDF1"]
    head += ["HOTA amodal", "IDF1 amodal", "vAP", "vAP50"]
    cells = []
    for front_end, both in rows.items():
        for way, scores in both.items():
            visible, amodal = scores["visible"], scores["amodal"]
            counts = [str(visible[name]) for name in ("id_switches", "id_transfers", "gaps")]
            shares = [visible["found_again"], visible["HOTA"], visible["IDF1"], amodal["HOTA"], amodal["IDF1"]]
            cells.append([front_end, way, *counts, *_percent([*shares, scores["vAP"], scores["vAP50"]])])
    return markdown(head, cells)


def _kitti_rows(rows: dict) -> str:
    head = ["", "gaps", "old id again", "wrong merges", "id switches", "HOTA", "IDF1"]
    cells = [
        [name, str(s["gaps"]), *_percent([s["found_again"]]), str(s["id_transfers"]), str(s["id_switches"])]
        + _percent([s["HOTA"], s["IDF1"]])
        for name, s in rows.items()
    ]
    return markdown(head, cells)


def _percent(shares: list[float | None]) -> list[str]:
    return ["–" if share is None else f"{100 * share:.1f}" for share in shares]


if __name__ == "__main__":
    main()
