"""`samodal run`: one video, every clip of a data set, or any number of videos, by any number of workers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from samodal.build import check_settings, found_device, make_method, notices, with_best
from samodal.data.open import opened
from samodal.errors import DiskFull, Incomplete, InputError, printable
from samodal.executors import Executor, Failure, InProcess, Retrying, executor_for
from samodal.exports.convert import check_save, save
from samodal.exports.formats import wanted
from samodal.fleet.inputs import expanded, is_single, place_of
from samodal.fleet.jobs import Job, named, share_of
from samodal.fleet.segments import parts_of
from samodal.fleet.store import AT_ONCE, FAILED, Store
from samodal.fleet.work import Done, finished, length_of, open_job, run_job, settings_of
from samodal.outputs import check_folder
from samodal.progress import frames_bar
from samodal.remote import is_remote
from samodal.runner import Summary, run_video
from samodal.runs.folder import REPORT, held, whole
from samodal.runs.places import free_folder
from samodal.settings import RunSettings
from samodal.tracks import UNSEEN, FrameResult, State
from samodal.video import excerpt, open_video

SHOWN = 40
"""Failures that a message names at most; each is in the failed.txt of its folder."""
ALL_GPUS = "cuda:all"


def run_all(settings: RunSettings) -> list[Summary]:
    """Run the video, or every video or clip that has no finished result with these settings yet.

    One of many that fails is recorded in its folder, in failed.txt, and the others go on. What failed for a reason that
    may pass, as a lost worker, is tried twice more.

    Returns:
        what was run, in the order of the videos or clips.

    Raises:
        Incomplete: at the end, where some failed.
        InputError: for anything else that a user can mend, also where all failed for one reason, or the disk is full.
    """
    if (settings.video is None) == (settings.data is None):
        raise InputError("give either a video or --data, as in: samodal run drive.mp4")
    settings = _checked(settings)
    if settings.data:
        return _Fleet(settings, "clip", _clips(settings)).run()
    alone = settings.videos[0] if len(settings.videos) == 1 and is_single(settings.videos[0]) else None
    if alone is None:
        _refuse_for_many(settings)
        return _Fleet(settings, "video", _videos(settings)).run()
    apart = settings.segment or settings.engine != "processes" or settings.part_of[1] > 1
    if apart or is_remote(alone) or is_remote(settings.out or ""):
        settings = replace(settings, out=settings.out or free_folder(settings, {"": lambda: open_video(alone)}))
        return _Fleet(settings, "video", [Job("", alone)]).run()
    return [_run_single(settings, alone)]


def _checked(settings: RunSettings) -> RunSettings:
    """The settings with what --vis best and --device cuda:all mean, checked before anything is opened."""
    here = settings.engine == "processes"
    executor_for(settings.engine, settings.workers, 0, address=settings.address)  # refuses what cannot be
    if settings.device == ALL_GPUS and here:
        import torch

        found_device("cuda")
        settings = replace(settings, workers=settings.workers or torch.cuda.device_count(), device="cuda")
    # A cluster has devices of its own.
    check_settings(settings if here else replace(settings, device="auto"))
    settings, reason = with_best(settings)
    if reason:
        print(reason)
    if settings.data:
        _refuse_for_many(settings)
    if settings.save:
        check_save(settings.save, settings.videos[0] if len(settings.videos) == 1 else None)
    if isinstance(settings.out, Path):
        check_folder(settings.out, "--out")
    elif settings.out is not None:
        _check_remote(settings)
    return settings


def _refuse_for_many(settings: RunSettings) -> None:
    paths = any(place for _, place in wanted(settings.save or "coco"))
    if paths or (settings.fps and settings.data):
        what = "--fps, and paths in --save, are for a single video"
        raise InputError(f"{what}; leave them out with {'--data' if settings.data else 'many videos'}")


def _check_remote(settings: RunSettings) -> None:
    """Refuse what needs a folder of this machine, or one memory."""
    url = str(settings.out)
    if settings.segment:
        raise InputError(f"--out {url}: --segment joins its pieces in a local folder; give one")
    apart = settings.engine != "processes" or (settings.workers or 1) > 1
    if apart and any(place.startswith("memory://") for place in (url, *settings.videos)):
        raise InputError(f"--out {url}: memory:// is this process's alone; give --workers 1, or another place")
    Store(url)  # refuses a kind of storage that is not known, or not installed


def _clips(settings: RunSettings) -> list[Job]:
    opened.forget()  # a data set may have grown since
    dataset = opened(settings.data)
    clips = list(dict.fromkeys(settings.clips.split(","))) if settings.clips else list(dataset.sequences)
    for clip in clips:
        if clip not in dataset.sequences:
            dataset.video(clip)  # raises what says so
    return [Job(clip, clip) for clip in clips]


def _videos(settings: RunSettings) -> list[Job]:
    """The jobs of many videos, before they have a folder; see `_Fleet`."""
    sources = expanded(settings.videos, settings.out)
    return [Job(name, source) for name, source in named(sources, {}).items()]


@dataclass
class _Fleet:
    """A run of many.

    Attributes:
        settings: checked.
        kind: "video" or "clip", for messages.
        jobs: all of them, those of other shards too.
    """

    settings: RunSettings
    kind: str
    jobs: list[Job]
    outcomes: dict[Job, Done | Failure] = field(default_factory=dict)

    def run(self) -> list[Summary]:
        """Run what is not finished, tell of it, and raise what failed."""
        self._settle()
        for notice in notices(self.settings, many=True):
            print(notice)
        mine = share_of(self.jobs, *self.settings.part_of) if not self.settings.segment else self.jobs
        # What is far away is waited for: many are asked after at the same time.
        with ThreadPoolExecutor(AT_ONCE if is_remote(self.settings.out or "") else 1) as pool:
            there = list(pool.map(self._is_finished, mine))
        waiting = [job for job, finished_before in zip(mine, there, strict=True) if not finished_before]
        if waiting:
            self._try_method()
        waiting = self._in_segments(waiting) if self.settings.segment else waiting
        if waiting:
            self._work(waiting)
        return self._told(mine)

    def _settle(self) -> None:
        """Give the run its folder, and the videos their names in it."""
        if self.settings.out is None:
            places = {job.name: partial(open_job, self.settings, job) for job in self.jobs}
            self.settings = replace(self.settings, out=free_folder(self.settings, places))
        if self.kind == "video" and any(job.name for job in self.jobs):
            sources = [job.source for job in self.jobs]
            chosen: dict[str, str] = {}

            def choose(known):
                chosen.update(named(sources, known))
                return {name: place_of(source) for name, source in chosen.items()}

            Store(self.settings.out).add_videos(choose)
            self.jobs = [Job(name, source) for name, source in chosen.items()]

    def _is_finished(self, job: Job) -> bool:
        try:
            return finished(self.settings, job) is not None
        except InputError:
            return False  # running it says why

    def _try_method(self) -> None:
        """Make the method once: what is wrong with it is no video's failure, and finished results stay as they are."""
        make_method(self.settings if self._alone else replace(self.settings, device="cpu"))

    @property
    def _alone(self) -> bool:
        return self.settings.engine == "processes" and (self.settings.workers or 1) <= 1

    def _executor(self, jobs: int) -> Executor:
        given = self.settings
        gpus = None if given.device == "auto" else given.device.startswith("cuda")
        return Retrying(executor_for(given.engine, given.workers, jobs, threads=1, address=given.address, gpus=gpus))

    def _in_segments(self, waiting: Sequence[Job]) -> list[Job]:
        """The jobs of segments, of which this shard has its share."""
        jobs = []
        given = self._on_workers(self.settings)
        for job, outcome in self._executor(len(waiting)).run(partial(length_of, given), waiting):
            if isinstance(outcome, Failure):
                self._note(job, outcome)
                continue
            own = replace(settings_of(given, job), segment=self.settings.segment)
            try:
                parts = parts_of(own, *outcome, job.source)
            except InputError as error:
                self._note(job, Failure.of(error))
                continue
            jobs += [replace(job, part=part) for part in parts] if len(parts) > 1 else [job]
        return share_of(sorted(jobs), *self.settings.part_of)

    @staticmethod
    def _on_workers(settings: RunSettings) -> RunSettings:
        """The settings as workers take them: each has one of the GPUs."""
        return replace(settings, device="cuda") if settings.device == ALL_GPUS else settings

    def _work(self, waiting: Sequence[Job]) -> None:
        executor = self._executor(len(waiting))
        inner = executor.executor if isinstance(executor, Retrying) else executor
        # Only what is done in this process can tell of each frame.
        with frames_bar(f"{self.kind}s", len(waiting), f"{self.kind}s") as advance:
            told = (lambda result: advance(0, _of_ids(result))) if isinstance(inner, InProcess) else None
            for job, outcome in executor.run(partial(run_job, self._on_workers(self.settings), told), waiting):
                self._note(job, outcome)
                advance(1)
                if isinstance(outcome, Failure) and outcome.full:
                    done = sum(isinstance(done, Done) for done in self.outcomes.values())
                    raise DiskFull(
                        f"{outcome.reason}; stopped, {done} {self.kind}s of this run are finished and kept, and the "
                        "same command goes on from there"
                    )

    def _note(self, job: Job, outcome: Done | Failure) -> None:
        """Keep an outcome, and the reason of a failure where its results would be; a success removes it."""
        self.outcomes[job] = outcome
        store, where = Store(self.settings.out), f"{job.name}/{FAILED}" if job.name else FAILED
        if isinstance(outcome, Done):
            if outcome.whole:
                with suppress(InputError, OSError):
                    store.remove(where)
            return
        text = f"{f'frames {job.part}: {outcome.reason}' if job.part else outcome.reason}\n{outcome.trace}"
        with suppress(InputError, OSError):  # the disk may be what failed
            if store.remote:
                store.write(where, text.encode())
            elif whole(folder := Path(store.folder(job.name))) is None:
                with held(folder, patience=0):  # where another process is at work, nothing is written
                    (folder / FAILED).write_text(text, encoding="utf-8")

    def _told(self, mine: Sequence[Job]) -> list[Summary]:
        """Print what was run, and raise what failed."""
        summaries = []
        for job in self._in_order(self.outcomes):
            outcome = self.outcomes[job]
            if isinstance(outcome, Done) and outcome.whole:
                summaries.append(outcome.summary)
                print(replace(outcome.summary, clip=job.name or outcome.summary.clip))
                for line in outcome.lines:
                    print(line)
        failed = {job: outcome for job, outcome in self.outcomes.items() if isinstance(outcome, Failure)}
        self._tell_share(mine)
        if failed:
            raise self._failure(failed, mine)
        if not self.outcomes and mine:
            print(f"{printable(self.settings.out)}: every {self.kind} is finished with these settings already")
        elif self.kind == "video" and len(self.jobs) > 1:
            print(printable(f"results are in {self.settings.out}; samodal collect {self.settings.out} sums them up"))
        return summaries

    def _in_order(self, jobs: Iterable[Job]) -> list[Job]:
        place = {job.name: n for n, job in enumerate(self.jobs)}
        return sorted(jobs, key=lambda job: (place[job.name], int((job.part or "0").partition(":")[0])))

    def _tell_share(self, mine: Sequence[Job]) -> None:
        share, of = self.settings.part_of
        if of > 1:
            what = f"{len(mine)} of {len(self.jobs)} {self.kind}s"
            if self.settings.segment:
                what = f"{len(self.outcomes)} videos and segments"
            print(f"shard {share + 1} of {of}: {what}")

    def _failure(self, failed: dict[Job, Failure], mine: Sequence[Job]) -> Exception:
        reasons = {failure.reason for failure in failed.values()}
        if len(failed) == len(mine) and len(reasons) == 1:
            return next(iter(failed.values())).error
        lines = [f"{job}: {failed[job].reason}" for job in self._in_order(failed)]
        if len(lines) > SHOWN:
            lines = [*lines[:SHOWN], f"… and {len(lines) - SHOWN} more"]
        label, rest = self.kind.upper(), ", the others are done" if len(failed) < len(mine) else ""
        return Incomplete(
            f"{len(failed)} of {len(mine)} {self.kind}s failed{rest}; see {self.settings.out}/{label}/{FAILED}, and "
            "run the same again for those that failed:",
            lines,
        )


def _run_single(settings: RunSettings, source: str) -> Summary:
    video = open_video(source, settings.strict, settings.fps)
    out: Any = settings.out or free_folder(settings, {"": lambda: video})
    for notice in notices(settings):
        print(notice)
    length = excerpt(video, settings.frames, settings.stride).length
    with frames_bar("frames", length) as advance:
        summary = run_video(settings, video, out, progress=lambda result: advance(1, _of_ids(result)))
    print(summary)
    for line in save(out, settings.save):
        print(printable(line))
    if summary.before:
        print(f"{printable(out)}: is finished with these settings already; --overwrite makes it anew")
        if settings.report and settings.overlay and not (out / REPORT).exists():
            print(printable(f"it has no {REPORT}: samodal report {out} makes it"))
        return summary
    written = ", ".join(sorted(path.name for path in out.iterdir()))
    print(printable(f"wrote {written} to {out}"))
    if (out / REPORT).exists():
        print(printable(f"open {out / REPORT}"))
    return summary


def _of_ids(result: FrameResult) -> str:
    """How many ids are alive and hidden, for the line of progress."""
    states = [instance.state for instance in result if instance.state != State.LOST]
    return f"{len(states)} ids, {sum(state in UNSEEN for state in states)} hidden"
