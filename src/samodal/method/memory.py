"""The point memory: what is known of every instance seen so far (paper, section 3 and Figure 2)."""

from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from samodal.errors import InputError
from samodal.files import read_json, write_json
from samodal.masks import Rle
from samodal.method.motion import median_velocity

MEMORY = 1
"""Version of a saved memory."""
RING = 8
"""Frames within which points can be added to every tracker: the newest and seven before."""
NEARLY = 0.9
"""An anchor shows at least this share of the most that the frames before it show."""


@dataclass(frozen=True, eq=False)
class Seen:
    """An instance in a frame in which it was prompted.

    Attributes:
        t, time: frame index and seconds.
        prompt: (K, 2) float32 prompt points.
        visible, amodal: its masks.
        score: of the frame.
    """

    t: int
    time: float
    prompt: np.ndarray
    visible: Rle
    amodal: Rle
    score: float | None


@dataclass
class Remembered:
    """One instance.

    Attributes:
        id, category: as the front end named them.
        tuples: (t, (K, 2) float32 points) of the frames in which it was prompted, oldest first.
        centres: (t, (2,) float) centre of the box of its amodal mask in those frames.
        recent: the last of those frames, within the trackers' ring.
        anchor: the one of them from which it is moved while hidden.
        start: (N, 2) float32, where the points that the tracker follows were at the anchor; None while it has none.
        shift: (2,) dx, dy in pixels by which its mask has moved since the anchor.
        scale: by which its mask has grown since.
        speed: (2,) pixels a frame; None until it is hidden.
        told_t, told_s: when points last told where it is: frame index and seconds.
        believed: how many points told it in the newest frame.
        covered: reported instances hid most of its moved mask at some time.
        open_since: seconds at which they ceased to; None while they do.
        gone: it left the image by the border rule.
    """

    id: int | str
    category: str
    tuples: deque = field(default_factory=deque)
    centres: deque = field(default_factory=deque)
    recent: deque = field(default_factory=lambda: deque(maxlen=RING))
    anchor: Seen | None = None
    start: np.ndarray | None = None
    shift: np.ndarray = field(default_factory=lambda: np.zeros(2))
    scale: float = 1.0
    speed: np.ndarray | None = None
    told_t: int = -1
    told_s: float = 0.0
    believed: int = 0
    covered: bool = False
    open_since: float | None = None
    gone: bool = False

    @property
    def last(self) -> Seen:
        """The frame in which it was last prompted."""
        return self.recent[-1]

    @property
    def score(self) -> float | None:
        """Of the last frame in which it was prompted."""
        return self.last.score

    @property
    def points(self) -> np.ndarray:
        """(K, 2) the most recent prompt points."""
        return self.tuples[-1][1]

    def see(self, seen: Seen) -> None:
        """Store the points and the mask of a frame; what was known of its hidden phase is over."""
        x0, y0, x1, y1 = seen.amodal.box
        self.tuples.append((seen.t, seen.prompt))
        self.centres.append((seen.t, np.array([(x0 + x1) / 2, (y0 + y1) / 2])))
        self.recent.append(seen)
        self.anchor, self.start, self.gone = seen, None, False
        self.shift, self.scale, self.speed = np.zeros(2), 1.0, None
        self.told_t, self.told_s, self.believed = seen.t, seen.time, 0
        self.covered, self.open_since = False, None

    def choose_anchor(self, now: int, anchor_s: float | None) -> None:
        """Set `anchor`: the newest recent frame that shows nearly as much as any of them (rule `anchor_s`)."""
        if anchor_s is None:
            return
        near = [one for one in self.recent if one.t > now - RING and one.time >= self.last.time - anchor_s - 1e-6]
        most = max((one.visible.area for one in near), default=0)
        self.anchor = next((one for one in reversed(near) if one.visible.area >= NEARLY * most), self.last)
        self.shift = self.velocity() * (self.last.t - self.anchor.t)

    def velocity(self, window: int = 20) -> np.ndarray:
        """(2,) pixels a frame, from the centres of the last `window` prompted frames."""
        return median_velocity(list(self.centres)[-window:])

    def mean_step(self) -> np.ndarray:
        """(2,) mean |dx|, |dy| between consecutive stored points; infinite with fewer than two (facts 4.5)."""
        firsts = np.array([points[0] for _, points in self.tuples])
        return np.abs(np.diff(firsts, axis=0)).mean(axis=0) if len(firsts) > 1 else np.full(2, np.inf)


class PointMemory:
    """Every instance seen so far, by id, in order of first appearance, within a bound.

    Args:
        tuples: point K-tuples kept per instance.
        instances: instances kept.
    """

    def __init__(self, tuples: int, instances: int):
        self.tuples = tuples
        self.instances = instances
        self._known: dict[int | str, Remembered] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self):
        return iter(list(self._known.values()))

    def get(self, key: int | str) -> Remembered | None:
        return self._known.get(key)

    def store(self, key, category: str, seen: Seen) -> None:
        """Remember an instance prompted in the newest frame."""
        one = self._known.setdefault(
            key, Remembered(key, category, deque(maxlen=self.tuples), deque(maxlen=self.tuples))
        )
        one.category = category
        one.see(seen)

    def missing(self, reported: Iterable[int | str]) -> list[Remembered]:
        """The memory check of Figure 2: remembered instances that are not among the reported ids."""
        reported = set(reported)
        return [one for key, one in self._known.items() if key not in reported]

    def forget(self, now: float, remember_s: float | None) -> list[int | str]:
        """Drop what was not seen for longer than `remember_s` seconds, and the longest unseen beyond the bound.

        Returns:
            The ids dropped.
        """
        oldest_first = sorted(self._known.values(), key=lambda one: one.last.t)
        excess = {one.id for one in oldest_first[: max(0, len(oldest_first) - self.instances)]}
        late = {one.id for one in oldest_first if remember_s is not None and now - one.last.time > remember_s}
        for key in excess | late:
            del self._known[key]
        return list(excess | late)

    def clear(self) -> None:
        """Forget everything, as at a scene cut."""
        self._known = {}

    def state(self) -> list[dict]:
        return [_plain(one) for one in self]

    def load_state(self, state: list[dict]) -> None:
        self._known = {entry["id"]: _remembered(entry, self.tuples) for entry in state}

    def save(self, path: Path) -> None:
        """Write a JSON file that can be read by eye and by `load`; numbers are exact.

        Raises:
            InputError: if it cannot be written.
        """
        write_json(Path(path), {"memory": MEMORY, "instances": self.state()}, indent=1)

    def load(self, path: Path) -> None:
        """Take over what `save` wrote, in place of what is known.

        Raises:
            InputError: if the file is missing, or no memory of this version.
        """
        content = read_json(Path(path))
        if not isinstance(content, dict) or content.get("memory") != MEMORY:
            found = content.get("memory") if isinstance(content, dict) else None
            raise InputError(f"{path}: expected a point memory of version {MEMORY}, found {found}; save it again")
        self.load_state(content["instances"])

    def summary(self) -> str:
        """A line per instance, for reading: what is known of it, and where it is thought to be."""
        lines = [
            f"{'id':>8} {'category':<12} {'tuples':>6} {'last seen':>9} {'believed':>8} {'moved by':>16} {'scale':>6}"
        ]
        for one in self:
            moved = "gone" if one.gone else f"{one.shift[0]:+.1f}, {one.shift[1]:+.1f}"
            lines.append(
                f"{one.id!s:>8} {one.category:<12} {len(one.tuples):>6} {f't = {one.last.t}':>9} {one.believed:>8} "
                f"{moved:>16} {one.scale:>6.2f}"
            )
        return "\n".join(lines)


def _plain(one: Remembered) -> dict:
    """As what JSON can hold, without a rounding error."""
    plain = {f.name: getattr(one, f.name) for f in fields(one)}
    plain |= {name: [(t, at.tolist()) for t, at in plain[name]] for name in ("tuples", "centres")}
    plain["recent"] = [asdict(seen) | {"prompt": seen.prompt.tolist()} for seen in one.recent]
    plain["anchor"] = list(one.recent).index(one.anchor)
    plain["shift"] = one.shift.tolist()
    plain |= {name: None if plain[name] is None else plain[name].tolist() for name in ("start", "speed")}
    return plain


def _remembered(plain: dict, tuples: int) -> Remembered:
    recent = deque((_seen(entry) for entry in plain["recent"]), maxlen=RING)
    arrays = {
        "tuples": deque(((t, np.array(at, np.float32)) for t, at in plain["tuples"]), maxlen=tuples),
        "centres": deque(((t, np.array(at)) for t, at in plain["centres"]), maxlen=tuples),
        "recent": recent,
        "anchor": recent[plain["anchor"]],
        "shift": np.array(plain["shift"]),
        "start": None if plain["start"] is None else np.array(plain["start"], np.float32),
        "speed": None if plain["speed"] is None else np.array(plain["speed"]),
    }
    return Remembered(**(plain | arrays))


def _seen(plain: dict) -> Seen:
    masks = {name: Rle(tuple(plain[name]["size"]), plain[name]["counts"]) for name in ("visible", "amodal")}
    return Seen(**(plain | {"prompt": np.array(plain["prompt"], np.float32)} | masks))
