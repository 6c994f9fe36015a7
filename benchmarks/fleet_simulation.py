"""A fleet of videos on many workers, simulated event by event, beside what a formula reckons.

    python benchmarks/fleet_simulation.py --rate 2.0

`--rate` is what one worker does, frames a second: measure it with `samodal bench VIDEO`. Nothing here is measured: each
number that is printed follows from the flags, and docs/scale.md says which of them were measured, and where.

The simulation: videos of log-normal length wait in a list. A free worker takes the next one, or a segment of it; it
reads and writes through storage of limited bandwidth, which all share. Workers are lost at random and come back after a
while; the job goes on from its last state after the other trials, by any worker, at most twice. Some videos are broken.
"""

import argparse
import heapq
import random
from dataclasses import dataclass

HOUR = 3600.0


@dataclass(frozen=True)
class Plan:
    """What is simulated; rates are a second unless named otherwise."""

    hours: float
    workers: int
    rate: float
    fps: float
    minutes: float
    spread: float
    segment_s: float
    overlap_s: float
    start_s: float
    read_mbit: float
    out_mb_hour: float
    storage_mb: float
    lost_hours: float
    back_s: float
    again: float
    broken: float
    price: float
    seed: int


@dataclass
class Outcome:
    """What came out."""

    seconds: float = 0.0
    busy: float = 0.0
    last_start: float = 0.0
    lost: int = 0
    redone: float = 0.0
    given_up: int = 0
    broken: int = 0
    jobs: int = 0


def lengths(plan: Plan) -> list[float]:
    """Seconds of each video, `hours` in all."""
    chance, found, left = random.Random(plan.seed), [], plan.hours * HOUR
    middle = plan.minutes * 60 / pow(2.718281828, plan.spread**2 / 2)
    while left > 0:
        found.append(min(left, max(1.0, middle * pow(2.718281828, plan.spread * chance.gauss(0, 1)))))
        left -= found[-1]
    return found


def jobs_of(plan: Plan, videos: list[float]) -> list[float]:
    """Seconds of video of each job: whole videos, or segments with the overlap that they are run with."""
    if not plan.segment_s:
        return videos
    jobs = []
    for video in videos:
        done = 0.0
        while done < video:
            piece = min(plan.segment_s, video - done)
            if video - done - piece <= plan.overlap_s:
                piece = video - done
            jobs.append(piece + (plan.overlap_s if done else 0.0))
            done += piece
    return jobs


def slowed(plan: Plan, active: int) -> float:
    """By how much the storage slows a worker when so many are at work, 1 for not at all."""
    of_one = plan.rate / plan.fps * (plan.read_mbit / 8 + plan.out_mb_hour / HOUR)  # MB a second
    return max(1.0, active * of_one / plan.storage_mb)


def simulate(plan: Plan) -> Outcome:
    """Run the events."""
    chance, outcome = random.Random(plan.seed + 1), Outcome()
    videos = lengths(plan)
    sound = [video for video in videos if chance.random() >= plan.broken]
    outcome.broken = len(videos) - len(sound)  # found out in a second each
    jobs = jobs_of(plan, sound)
    chance.shuffle(jobs)
    waiting = [(seconds, 0) for seconds in reversed(jobs)]  # what is left of a job, and how often it was lost
    outcome.jobs = len(jobs)
    events = [(plan.start_s, worker) for worker in range(plan.workers)]
    heapq.heapify(events)
    again: list[tuple[float, int]] = []
    ends = 0.0
    while events and (waiting or again):
        now, worker = heapq.heappop(events)
        if not waiting:
            waiting, again = again[::-1], []
        seconds, losses = waiting.pop()
        outcome.last_start = now
        active = 1 + len(events)
        takes = seconds * plan.fps / plan.rate * slowed(plan, active)
        until_lost = chance.expovariate(1 / (plan.lost_hours * HOUR)) if plan.lost_hours else float("inf")
        if until_lost < takes:
            outcome.lost += 1
            done = until_lost / takes * seconds
            outcome.busy += until_lost
            outcome.redone += plan.again * until_lost
            if losses < 2:
                again.append((seconds - done + plan.again * done, losses + 1))
            else:
                outcome.given_up += 1
            heapq.heappush(events, (now + until_lost + plan.back_s + plan.start_s, worker))
            continue
        outcome.busy += takes
        ends = max(ends, now + takes)
        heapq.heappush(events, (now + takes, worker))
    outcome.seconds = ends
    return outcome


def reckoned(plan: Plan) -> float:
    """Seconds by formula: all frames by all workers, with overlaps, losses and storage, but without a tail."""
    videos = lengths(plan)
    work = sum(jobs_of(plan, videos)) * plan.fps / plan.rate * slowed(plan, plan.workers) * (1 - plan.broken)
    if plan.lost_hours:
        mean = work / max(1, len(jobs_of(plan, videos)))
        lost = work / (plan.lost_hours * HOUR)
        work += lost * (plan.again * mean / 2 + plan.back_s + plan.start_s)
    return plan.start_s + work / plan.workers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flag = parser.add_argument
    flag("--hours", type=float, default=100_000, help="of video")
    flag("--workers", type=int, default=64)
    flag("--rate", type=float, required=True, help="frames a second of one worker, measured")
    flag("--fps", type=float, default=30.0, help="of the videos")
    flag("--minutes", type=float, default=10.0, help="of a video, in the mean")
    flag("--spread", type=float, default=1.0, help="of the logarithm of their lengths")
    flag("--segment", dest="segment_s", type=float, default=0.0, help="seconds; 0: whole videos")
    flag("--overlap", dest="overlap_s", type=float, default=8.0)
    flag("--start", dest="start_s", type=float, default=10.0, help="seconds until a worker has its model")
    flag("--read_mbit", type=float, default=8.0, help="megabits of a second of video")
    flag("--out_mb_hour", type=float, default=1000.0, help="megabytes of results of an hour of video")
    flag("--storage_mb", type=float, default=1000.0, help="megabytes a second that the storage moves for all")
    flag("--lost_hours", type=float, default=1000.0, help="of work between two losses of a worker; 0: never")
    flag("--back_s", type=float, default=300.0, help="until a lost worker is there again")
    flag("--again", type=float, default=0.5, help="share of the work before a loss that is done again")
    flag("--broken", type=float, default=0.002, help="share of the videos that cannot be read")
    flag("--price", type=float, default=0.0, help="of an hour of a worker")
    flag("--seed", type=int, default=0)
    plan = Plan(**vars(parser.parse_args()))
    outcome, formula = simulate(plan), reckoned(plan)
    days, used = outcome.seconds / 86400, outcome.busy / (plan.workers * outcome.seconds)
    print(f"{outcome.jobs:,} jobs, {plan.hours:,.0f} h of video, {plan.workers} workers of {plan.rate:g} frames/s")
    print(f"by formula {formula / 86400:.1f} days, simulated {days:.1f} days; workers busy {used:.1%}")
    print(f"tail: the last job begins {(outcome.seconds - outcome.last_start) / HOUR:.1f} h before the end")
    print(f"lost workers {outcome.lost:,}, work done again {outcome.redone / HOUR:,.0f} h; "
          f"given up {outcome.given_up:,}, broken {outcome.broken:,}")  # fmt: skip
    print(f"storage: {plan.hours * plan.out_mb_hour / 1e6:,.1f} TB of results, {slowed(plan, plan.workers):.2f} times "
          f"slowed by its bandwidth; {plan.hours * HOUR * plan.read_mbit / 8 / 1e6:,.0f} TB read")  # fmt: skip
    if plan.price:
        print(f"cost: {plan.price * plan.workers * outcome.seconds / HOUR:,.0f} at {plan.price:g} an hour of a worker")


if __name__ == "__main__":
    main()
