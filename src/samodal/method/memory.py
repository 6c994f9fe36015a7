"""The point memory: what is known of every instance seen so far (paper, section 3 and Figure 2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from samodal.errors import InputError
from samodal.files import named, read_json, write_json
from samodal.masks import Mask, union
from samodal.method.camera import View
from samodal.method.hidden import HiddenPhase, Place, Position, Surroundings
from samodal.method.history import History, Seen
from samodal.method.rules import Rules
from samodal.method.saved import plain_entry, read_entry
from samodal.tracks import Instance, State, VisibleInstance

VERSION = 8
"""Of a saved memory."""


class Remembered:
    """One instance: what was seen of it and, while it is missing, its hidden phase.

    Args:
        id, category: as the front end named them.
        bound, shapes: of its `History`.
    """

    def __init__(self, id: int | str, category: str, bound: int, shapes: bool = True):
        self.id, self.category = id, category
        self.history = History(bound, shapes)
        self.phase: HiddenPhase | None = None

    @property
    def last(self) -> Seen:
        """The frame in which it was last prompted."""
        return self.history.last

    def step(
        self, around: Surroundings, position: Position | None, phase: HiddenPhase, rules: Rules
    ) -> Instance | None:
        """Go on with its hidden phase by one frame.

        Args:
            around: what the frame shows.
            position: of its points now, None where the tracker does not follow them.

        Returns:
            What is to be reported of it, None for nothing.
        """
        state = phase.step(around, position, rules)
        if state is None:
            return None
        frames, seconds = around.t - self.last.t, around.time - self.last.time
        unseen = (0, 0.0) if around.sliver is not None else (frames, round(seconds, 6))  # as frames.jsonl has it
        if state is State.LOST:  # known, but not where: no mask, so no ghost
            return Instance(self.id, self.category, None, state, None, None, None, None, *unseen)
        parts = [mask for mask in (phase.mask, around.sliver) if mask is not None]
        amodal = union(parts, self.last.amodal.size)
        score = None if self.last.score is None else self.last.score * rules.decay**seconds
        followed = None if position is None else position[0]
        return Instance(
            self.id, self.category, score, state, around.sliver, amodal, self.history.points, followed, *unseen,
            centre_spread=phase.spread if phase.mask is not None else None,
        )  # fmt: skip


class PointMemory:
    """Every instance seen so far, by id, in order of first appearance, within a bound.

    Args:
        tuples: point K-tuples kept per instance.
        instances: instances kept.
        shapes: whether the best shape of each is kept (rule `earlier`).
    """

    def __init__(self, tuples: int, instances: int, shapes: bool = True):
        self.tuples, self.shapes = tuples, shapes
        self.instances = instances
        self._known: dict[int | str, Remembered] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Remembered]:
        return iter(list(self._known.values()))

    def get(self, key: int | str) -> Remembered | None:
        return self._known.get(key)

    def shape(self, key: int | str, visible: Mask, t: int, least: float | None) -> Mask | None:
        """The best earlier shape of an instance in frame t (`History.shape`); None where the rule is off."""
        remembered = self._known.get(key)
        return None if least is None or remembered is None else remembered.history.shape(visible, t, least)

    def store(self, instance: VisibleInstance, seen: Seen, view: View | None = None) -> None:
        """Remember an instance prompted in the newest frame; its hidden phase is over."""
        key = instance.id
        if (remembered := self._known.get(key)) is None:
            remembered = self._known[key] = Remembered(key, instance.category, self.tuples, self.shapes)
        remembered.category, remembered.phase = instance.category, None
        remembered.history.add(seen, view)

    def missing(self, reported: Iterable[int | str], least: float | None = None) -> list[Remembered]:
        """The memory check of Figure 2: remembered instances that are not among the reported ids.

        Args:
            least: score that one of the last frames of each must have had; None for any.
        """
        reported = set(reported)
        absent = [remembered for key, remembered in self._known.items() if key not in reported]
        return [remembered for remembered in absent if least is None or remembered.history.surest >= least]

    def forget(self, now: float, remember_s: float | None) -> list[int | str]:
        """Drop what was not seen for longer than `remember_s` seconds, and the longest unseen beyond the bound.

        Returns:
            The ids dropped.
        """
        oldest_first = sorted(self._known.values(), key=lambda remembered: remembered.last.t)
        excess = {remembered.id for remembered in oldest_first[: max(0, len(oldest_first) - self.instances)]}
        late = {r.id for r in oldest_first if remember_s is not None and now - r.last.time > remember_s}
        for key in excess | late:
            del self._known[key]
        return list(excess | late)

    def reset(self) -> None:
        """Forget everything, as at a scene cut."""
        self._known = {}

    def state(self) -> list[dict]:
        """Everything that is known, as JSON can hold it, without a rounding error."""
        return [plain_entry(r.id, r.category, r.history, r.phase) for r in self]

    def load_state(self, state: list[dict]) -> None:
        """Take over what `state` gave, in place of what is known.

        Raises:
            InputError: for what `state` never gives; nothing has changed then.
        """
        known: dict[int | str, Remembered] = {}
        for entry in state if isinstance(state, list) else [None]:
            history = History(self.tuples, self.shapes)
            phase = read_entry(entry, history)
            remembered = Remembered(entry["id"], entry["category"], self.tuples, self.shapes)
            remembered.history, remembered.phase = history, phase
            if known.setdefault(remembered.id, remembered) is not remembered:
                raise InputError(f"instance {remembered.id!r} is there twice")
        self._known = known

    def save(self, path: Path) -> None:
        """Write a JSON file that can be read by eye and by `load`.

        Raises:
            InputError: if it cannot be written.
        """
        write_json(Path(path), {"memory": VERSION, "instances": self.state()}, indent=1)

    def load(self, path: Path) -> None:
        """Take over what `save` wrote, in place of what is known.

        Raises:
            InputError: if the file is missing, damaged, or no memory of this version.
        """
        content = read_json(Path(path))
        if not isinstance(content, dict) or content.get("memory") != VERSION:
            found = content.get("memory") if isinstance(content, dict) else None
            raise InputError(f"{path}: expected a point memory of version {VERSION}, found {found}; save it again")
        with named(f"{path}: damaged point memory"):
            self.load_state(content.get("instances"))

    def summary(self) -> str:
        """A line per instance, for reading: what is known of it, and where it is thought to be."""
        lines = [
            f"{'id':>8} {'category':<12} {'tuples':>6} {'last seen':>9} {'believed':>8} {'moved by':>16} {'scale':>6}"
        ]
        for remembered in self:
            phase = remembered.phase
            moved, scale, believed = "-" if phase is None else str(phase.place), "-", "-"
            if phase is not None and phase.place is Place.MOVED:
                moved = f"{phase.shift[0]:+.1f}, {phase.shift[1]:+.1f}"
                scale, believed = f"{phase.scale:.2f}", str(phase.believed)
            lines.append(
                f"{remembered.id!s:>8} {remembered.category:<12} {len(remembered.history.tuples):>6} "
                f"{f't = {remembered.last.t}':>9} {believed:>8} {moved:>16} {scale:>6}"
            )
        return "\n".join(lines)
