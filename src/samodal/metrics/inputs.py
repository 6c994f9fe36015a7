"""What is scored: truth and results from files, folders and data sets, and what of it is missing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from samodal.data.open import open_dataset
from samodal.errors import InputError
from samodal.files import named, opened_text, read_json
from samodal.metrics.levels import frame_map
from samodal.results import coco, frames, kitti_mots, scalabel, youtube_vis
from samodal.results.columns import fitted
from samodal.results.entries import Annotated, Entry
from samodal.results.fields import is_number
from samodal.results.partial import incomplete
from samodal.results.youtube_vis_entries import read_video_results, read_video_truth
from samodal.tracks import Clip

Clips = Mapping[str, Clip]

FORMS = (
    "YouTube-VIS (.json), Scalabel (.json), KITTI MOTS (.txt, a folder of these, or of pictures), "
    "and for truth of single images COCO (.json)"
)


def is_data_set(truth: str | Path) -> bool:
    """Whether truth is KIND:PATH, and no file of that name."""
    return ":" in str(truth) and not Path(truth).exists()


def read_entries(results: Path, truth: str | Path, masks: str) -> tuple[str, Annotated, list[Entry]] | None:
    """Level, truth and results of two files that are scored as they are written; None where they are read by clip.

    Raises:
        InputError: if a file is damaged, the results are of other videos or images, or an id is there twice.
    """
    if results.suffix.lower() == ".jsonl" or is_data_set(truth) or _form(results) or _form(Path(truth)):
        return None
    truth = Path(truth)
    content = _truth_content(truth)
    if youtube_vis.is_youtube_vis(content):
        true = read_video_truth(truth, masks)
        return "video", true, read_video_results(results, true, masks)
    if coco.is_image_truth(content):
        true = coco.read_image_truth(truth, masks)
        return "image", true, coco.read_image_results(results, true, masks)
    raise _unknown(truth)


def _truth_content(path: Path) -> dict:
    """The content of a JSON file of truth."""
    if path.is_dir():
        raise _unknown(path)
    try:
        content = read_json(path)
    except InputError:
        if path.suffix.lower() == ".json" or not path.exists():
            raise
        raise _unknown(path) from None
    if not isinstance(content, dict):
        raise _unknown(path)
    return content


def _unknown(truth: Path) -> InputError:
    return InputError(f"{truth}: unknown form of truth; known are {FORMS}, and KIND:PATH of a data set")


def chosen(
    truth: Annotated, entries: Sequence[Entry], clips: Collection[str], where: str
) -> tuple[Annotated, list[Entry]]:
    """Truth and results of these clips alone.

    Args:
        where: the file of the truth, for the message.

    Raises:
        InputError: if the truth has no clip of such a name.
    """
    names = list(dict.fromkeys(map(truth.clip_of, truth.sizes)))
    _check_names(clips, names, where)
    groups = {group for group in truth.sizes if truth.clip_of(group) in clips}
    kept = Annotated(
        {group: size for group, size in truth.sizes.items() if group in groups},
        {group: length for group, length in truth.lengths.items() if group in groups},
        [entry for entry in truth.entries if entry.group in groups],
        {group: name for group, name in truth.clips.items() if group in groups},
        truth.categories,
    )
    return kept, [entry for entry in entries if entry.group in groups]


def _check_names(clips: Collection[str], names: Sequence[str], where: str) -> None:
    for name in clips:
        if name not in names:
            raise InputError(f"{where}: no clip {name!r}; there is {', '.join(names[:3])}, …")


def read_clips(results: Path, truth: str | Path, clips: Sequence[str] | None) -> tuple[dict[str, Clip], Clips]:
    """Results and truth by clip name; a form that does not say a clip's size or length takes it from the other side.

    Args:
        clips: names of the clips to read, None for all.

    Raises:
        InputError: if something is missing or damaged.
    """
    form, true_form = _form(results), None if is_data_set(truth) else _form(Path(truth))
    if true_form is None:
        true = read_truth(truth, clips)
        runs = read_runs(results, true)
    else:
        runs = read_runs(results)
        true = read_truth(truth, clips, runs)
    if len(runs) == len(true) == 1 and (form or true_form):  # these forms need not name their video
        runs = {next(iter(true)): next(iter(runs.values()))}
    if clips is not None:
        runs = {name: clip for name, clip in runs.items() if name in clips}
    for name in runs.keys() & true.keys():
        length = max(len(runs[name]), len(true[name]))
        if form == "kitti":
            runs[name] = _renamed(fitted(runs[name], range(length)), true[name])
        if true_form == "kitti":
            _check_beginning(runs[name], true[name])
            true[name] = _renamed(fitted(true[name], range(length)), runs[name])
    return runs, true


def _check_beginning(clip: Clip, true: Clip) -> None:
    """KITTI's labels name no pictures, so that the beginning of a sequence looks like another video."""
    if len(clip) < len(true) and not set(clip.frames) <= set(true.frames):
        raise InputError(
            f"clip {true.name}: results of {len(clip)} frames, the first named {clip.frames[0]}, but the truth has "
            f"{len(true)}; of its first frames alone give kitti_mots:ROOT/all, which takes what pictures there are, "
            f"or cut its text: awk '$1 < {len(clip)}' {true.name}.txt"
        )


def _renamed(clip: Clip, other: Clip) -> Clip:
    """The clip with the frame names of another of equal length."""
    return replace(clip, frames=other.frames) if len(clip) == len(other) else clip


def read_truth(truth: str | Path, clips: Sequence[str] | None = None, beside: Clips | None = None) -> dict[str, Clip]:
    """Truth by clip name: of a data set such as asd:ROOT/val, or of a file in a form of `FORMS`.

    Args:
        clips: names of the clips to read, None for all.
        beside: results, for forms that do not say a frame's size.

    Raises:
        InputError: if it is missing or damaged, or has no clip of a wanted name.
    """
    if is_data_set(truth):
        dataset = open_dataset(str(truth))
        _check_names(clips or (), dataset.sequences, str(truth))
        return {key: clip for name in clips or dataset.sequences for key, clip in dataset.judged(name).items()}
    path = Path(truth)
    if not path.exists():
        raise InputError(f"{truth}: no such file or folder, nor KIND:PATH of a data set")
    known = _visible_clips(path, beside or {}, ignored=True)
    if known is None:
        if not youtube_vis.is_youtube_vis(_truth_content(path)):
            raise _unknown(path)
        known = youtube_vis.read_clips(path)
    _check_names(clips or (), list(known), str(truth))
    return {name: known[name] for name in clips or known}


def read_runs(path: Path, beside: Clips | None = None) -> dict[str, Clip]:
    """Results by clip name: of a file in a form of `FORMS`, or of a folder that holds CLIP/tracks.json.

    A run that was interrupted left no tracks.json; its frames.jsonl is read instead.

    Args:
        beside: truth, for forms that do not say a frame's size.

    Raises:
        InputError: if there is none, or two are of the same clip.
    """
    known = _visible_clips(path, beside or {})
    if known is not None:
        return known
    if path.is_file():
        return _lines(path) if path.suffix == ".jsonl" else youtube_vis.read_clips(path)
    folders = [
        path,
        *sorted(folder for folder in path.iterdir() if folder.is_dir() and folder.name != frames.UNFINISHED),
    ]
    clips: dict[str, Clip] = {}
    for folder in folders:
        run = {}
        if (folder / "tracks.json").exists():
            run = youtube_vis.read_clips(folder / "tracks.json")
        elif (folder / "frames.jsonl").exists():
            run = {
                name: replace(clip, info=clip.info | {"complete": False})
                for name, clip in _lines(folder / "frames.jsonl").items()
            }
        for name in run.keys() & clips.keys():
            raise InputError(f"{folder}: a second run of clip {name!r} in {path}")
        clips |= run
    if not clips:
        begun = incomplete(path, clips)
        raise InputError(f"{path}: no CLIP/tracks.json in it{f'; not finished: {begun}' * bool(begun)}")
    return clips


def _lines(path: Path) -> dict[str, Clip]:
    content = frames.read_frames(path)
    with named(str(path)):
        return {content.clip: content.tracks()}


def _form(path: Path) -> str | None:
    """ "kitti" or "scalabel": forms that hold visible masks alone and need not name their videos; None for others."""
    if path.is_dir():
        return "kitti" if _kitti_parts(path) else None
    if path.suffix.lower() == ".txt":
        return "kitti"
    if path.suffix.lower() != ".json" or '"segmentation' in _beginning(path):
        return None
    return "scalabel" if scalabel.is_scalabel(read_json(path)) else None


def _beginning(path: Path) -> str:
    with opened_text(path) as file:
        return file.read(2**20)


def _kitti_parts(folder: Path) -> list[Path]:
    """KITTI MOTS' sequences in a folder: text files, or folders of pictures, or the folder itself."""
    texts = sorted(path for path in folder.glob("*.txt") if is_number(path.stem))
    if texts or _has_pictures(folder):
        return texts or [folder]
    return sorted(path for path in folder.iterdir() if path.is_dir() and _has_pictures(path))


def _has_pictures(folder: Path) -> bool:
    return any(is_number(path.stem) for path in folder.glob("*.png"))


def _visible_clips(path: Path, beside: Clips, ignored: bool = False) -> dict[str, Clip] | None:
    """The clips of KITTI MOTS or Scalabel, None for another form."""
    form = _form(path)
    if form == "kitti":
        parts = [path] if path.is_file() else _kitti_parts(path)
        return {part.stem: kitti_mots.read_kitti(part, part.stem, ignored) for part in parts}
    if form == "scalabel":
        names = scalabel.video_names(path)
        return {
            name or path.stem: scalabel.read_scalabel_clip(path, name, _size_beside(beside, name)) for name in names
        }
    return None


def _size_beside(beside: Clips, name: str | None) -> tuple[int, int] | None:
    clips = [beside[name]] if name in beside else list(beside.values())
    return clips[0].size if len({clip.size for clip in clips}) == 1 else None


def shortfalls(results: Clips, truth: Clips) -> list[str]:
    """What the results lack of the truth, a sentence for each clip; what is missing counts as not found."""
    missing = [name for name in truth if name not in results]
    notes = []
    if missing:
        some = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        notes.append(f"no results of {len(missing)} of {len(truth)} clips ({some}): nothing is found in them")
    for name in truth.keys() & results.keys():
        clip, true = results[name], truth[name]
        frames_of = frame_map(clip, true)
        if absent := frames_of.count(None):
            notes.append(
                f"clip {name}: results of {len(frames_of) - absent} of {len(frames_of)} frames; nothing is found in "
                "the others. Was the run not finished?"
            )
        elif clip.info.get("complete") is False:
            notes.append(f"clip {name}: its run was not finished")
    return sorted(notes)
