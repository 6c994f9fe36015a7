"""YouTube-VIS JSON as sequences of annotated images, whose masks are what can be seen.

    videos       id, width, height, length, file_names; name and fps may be given
    annotations  id, video_id, category_id, segmentations: run lengths, polygons or null for each frame
    categories   id, name

Source: https://youtube-vos.org/dataset/vis. Where the authors' extension `occlude_rate` stands, the masks are amodal:
such a file is refused, unless `visible_segmentations` beside them say what can be seen, as our own tracks.json does; of
those two columns the visible one is read.
"""

from collections import Counter
from pathlib import Path

from samodal.data.annotated import AnnotatedDataset, AnnotatedImage, AnnotatedSequence, Annotation, by_name, two_paths
from samodal.data.dataset import Report, collected, refuse
from samodal.data.fields import check_size, class_names, class_of, frame_rate, place_of, usable_path, whole_number
from samodal.data.paths import ImageFolder
from samodal.errors import InputError, shown
from samodal.files import check_mask, field, read_json
from samodal.results.fields import is_crowd
from samodal.results.youtube_vis import check_length, video_name

VISIBLE = "visible_segmentations"
"""Of an annotation whose `segmentations` are amodal."""


def open_ytvis(path: Path, report: Report = refuse) -> AnnotatedDataset:
    """The data set of ANNOTATIONS.json,IMAGES in YouTube-VIS' form, with visible masks alone.

    Args, Raises: as for `open_coco`.
    """
    annotations, images = two_paths(path, "ytvis")
    sequences = read_youtube_vis_truth(annotations, report, images)
    return AnnotatedDataset(annotations, images, sequences, report, has_amodal=False)


def read_youtube_vis_truth(path: Path, report: Report = refuse, images: Path | None = None) -> list[AnnotatedSequence]:
    """The videos of a file, sorted by name; an instance's id is that of its annotation.

    Args:
        report: gets each thing that is wrong; what it concerns is then left out.
        images: the folder of images, for paths as labelling tools write them; None: paths are taken as they stand.

    Raises:
        InputError: if the file is missing, cut off, no such JSON, or has no visible masks; the rest goes to `report`.
    """
    content = read_json(path)
    for name in ("videos", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise InputError(
                f"{path}: no list {name!r} in it; expected the truth of YouTube-VIS (that of its test and validation "
                "splits is not published: give `samodal run` the folder of a video's frames instead)"
            )
    folder = None if images is None else ImageFolder(images)
    for video in content["videos"] if folder is not None else ():
        if isinstance(video, dict) and isinstance(video.get("file_names"), list):
            video["file_names"] = [folder.path(name) for name in video["file_names"]]
    reader = _Reader(path, content, report)
    return by_name(collected(reader.videos.values(), reader.sequence, report), path, report)


class _Reader:
    """One file: videos by id, then sequences of them."""

    def __init__(self, path: Path, content: dict, report: Report):
        self._path = path
        self._names = class_names(content["categories"], path, report)
        self.videos: dict[int, dict] = {}
        self._files: set[str] = set()
        collected(content["videos"], self._add_video, report)
        self._columns: dict[int, list[list[Annotation | None]]] = {key: [] for key in self.videos}
        self._crowds: dict[int, Counter[int]] = {key: Counter() for key in self.videos}
        self._seen: set[int] = set()
        collected(content["annotations"], self._add_annotation, report)

    def sequence(self, video: dict) -> AnnotatedSequence:
        """A video with what its annotations say of each frame."""
        columns, size = self._columns[video["id"]], (video["height"], video["width"])
        crowds = self._crowds[video["id"]]
        images = [
            AnnotatedImage(name, size, t, tuple(column[t] for column in columns if column[t] is not None), crowds[t])
            for t, name in enumerate(video["file_names"])
        ]
        name = video_name(video).replace("/", "_")
        return AnnotatedSequence(name, tuple(images), frame_rate(video, str(self._path)))

    def _add_video(self, entry: dict) -> None:
        key = whole_number(entry, "id", f"{self._path}: a video")
        where = f"{self._path}: video {key}"
        if key in self.videos:
            raise InputError(f"{where}: a second video has this id")
        check_size(entry, where)
        frame_rate(entry, where)
        files = field(entry, "file_names", where)
        if not isinstance(files, list) or not files or not all(map(usable_path, files)):
            raise InputError(f"{where}: file_names are no list of paths inside the folder of images")
        if entry.get("length", len(files)) != len(files):
            raise InputError(f"{where}: {len(files)} file_names, but its length is {entry['length']}")
        if not usable_path(entry.get("name") or "video"):
            raise InputError(f"{where}: its name {shown(entry['name'])} cannot name a folder")
        if len(set(files)) < len(files) or self._files & set(files):
            raise InputError(f"{where}: a file of it is there twice, in it or in another video")
        self._files.update(files)
        self.videos[key] = entry

    def _add_annotation(self, entry: dict) -> None:
        where, video = place_of(entry, "video", self.videos, self._seen, self._path)
        class_of(entry, self._names, where)
        if "occlude_rate" in entry and VISIBLE not in entry:
            raise InputError(
                f"{where}: its masks are amodal (occlude_rate) and none say what can be seen; as truth for "
                f"`samodal evaluate` give the file itself: --truth {self._path}"
            )
        column = self._column(entry, video, where)
        if is_crowd(entry, where):
            self._crowds[video["id"]].update(t for t, mask in enumerate(column) if mask is not None)
        else:
            self._columns[video["id"]].append(column)

    def _column(self, entry: dict, video: dict, where: str) -> list[Annotation | None]:
        """The masks of an annotation, frame by frame."""
        name = VISIBLE if VISIBLE in entry else "segmentations"
        masks = field(entry, name, where)
        if not isinstance(masks, list):
            raise InputError(f"{where}: {name} is no list but {shown(masks)}")
        check_length(masks, len(video["file_names"]), where)
        return [self._mask(entry, mask, video, f"{where}, frame {t}") for t, mask in enumerate(masks)]

    def _mask(self, entry: dict, mask: dict | list | None, video: dict, where: str) -> Annotation | None:
        if mask is None or mask == []:
            return None
        check_mask(mask, (video["height"], video["width"]), where)
        return Annotation(entry["id"], entry["id"], class_of(entry, self._names, where), mask, None, (), None, where)
