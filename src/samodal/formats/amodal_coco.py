"""The format for data of your own: COCO's JSON with amodal and visible masks, of single images or of videos.

docs/data.md has a whole example. What makes it more than COCO's instances:

    images       id, file_name, width, height; video_id and frame_id where it is a frame of a video
    annotations  id, image_id, category_id, segmentation (amodal); visible and occluders where known; track_id in videos
    categories   id, name
    videos       id, name and fps; may be left out
"""

from collections import Counter
from pathlib import Path, PurePosixPath

from samodal.errors import InputError
from samodal.formats.annotated import (
    AnnotatedImage,
    AnnotatedSequence,
    Annotation,
    Report,
    TrackCheck,
    check_shape,
    check_size,
    collected,
    listed,
    refuse,
    whole_number,
)
from samodal.formats.reading import field, read_json

FRAMES_PER_SECOND = 10.0
"""Of videos for which the file states none."""


def read_amodal_coco(path: Path, report: Report = refuse) -> list[AnnotatedSequence]:
    """The sequences of a file, sorted by name; an image without `video_id` is a sequence of one frame.

    Args:
        report: gets each thing that is wrong; what it concerns is then left out.

    Raises:
        InputError: if the file is missing, cut off, or no such JSON; the rest goes to `report`.
    """
    content = read_json(path)
    for name in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise InputError(f"{path}: no list {name!r} in it; docs/data.md shows a whole file")
    reader = _Reader(path, content, report)
    sequences = collected(reader.groups(), reader.sequence, report)
    for name, count in Counter(one.name for one in sequences).items():
        if count > 1:
            report(f"{path}: {count} sequences would be named {name!r}; give other file names, or names in 'videos'")
    if not sequences:
        raise InputError(f"{path}: no usable image in it")
    return sorted({one.name: one for one in sequences}.values(), key=lambda one: one.name)


class _Reader:
    """One file: images and annotations by id, then sequences of them."""

    def __init__(self, path: Path, content: dict, report: Report):
        self._path, self._report = path, report
        self._names: dict[int, str] = {}
        collected(content["categories"], self._add_category, report)
        self._videos: dict[int, dict] = {}
        collected(listed(content, "videos", str(path)), self._add_video, report)
        self._images: dict[int, dict] = {}
        self._files: set[str] = set()
        collected(content["images"], self._add_image, report)
        self._members: dict[int, list[Annotation]] = {key: [] for key in self._images}
        self._seen: set[int] = set()
        collected(content["annotations"], self._add_annotation, report)
        for members in self._members.values():
            members[:] = collected(members, lambda one, all_=members: self._with_occluders(one, all_), report)

    def groups(self) -> list[list[dict]]:
        """The images of each sequence."""
        found: dict[tuple, list[dict]] = {}
        for key, entry in self._images.items():
            video = entry.get("video_id")
            found.setdefault(("image", key) if video is None else ("video", video), []).append(entry)
        return list(found.values())

    def sequence(self, entries: list[dict]) -> AnnotatedSequence:
        """One sequence; an InputError where frames or sizes do not fit one another."""
        entries = sorted(entries, key=lambda one: one.get("frame_id", 0))
        first, video, tracks = entries[0], entries[0].get("video_id"), TrackCheck()
        images = [self._image(entry, tracks) for entry in entries]
        for one, before in zip(images[1:], images, strict=False):
            if one.number == before.number:
                raise InputError(f"{self._path}: video {video}: two images have the frame_id {one.number}")
            if one.size != before.size:
                raise InputError(
                    f"{self._path}: video {video}: {one.file_name} is {_by(one.size)} (height x width), but "
                    f"{before.file_name} is {_by(before.size)}; a video has one size"
                )
        stated = self._videos.get(video, {})
        name = str(PurePosixPath(first["file_name"]).with_suffix("")) if video is None else stated.get("name", video)
        fps = float(stated.get("fps", FRAMES_PER_SECOND))
        return AnnotatedSequence(str(name).replace("/", "_"), tuple(images), fps)

    def _image(self, entry: dict, tracks: TrackCheck) -> AnnotatedImage:
        name = entry["file_name"]
        members = collected(self._members[entry["id"]], lambda one: tracks.passed(one, name), self._report)
        return AnnotatedImage(name, _size(entry), entry.get("frame_id", 0), tuple(members))

    def _add_category(self, entry: dict) -> None:
        key = whole_number(entry, "id", f"{self._path}: a category")
        name = field(entry, "name", f"{self._path}: category {key}")
        if key in self._names or not isinstance(name, str) or not name:
            raise InputError(f"{self._path}: category {key}: the id is there twice, or its name is no text")
        self._names[key] = name

    def _add_video(self, entry: dict) -> None:
        key = whole_number(entry, "id", f"{self._path}: a video")
        fps, name = entry.get("fps", FRAMES_PER_SECOND), entry.get("name", "video")
        if not isinstance(fps, int | float) or not 0 < fps < 1e6:
            raise InputError(f"{self._path}: video {key}: fps {fps!r} is no number above 0")
        if key in self._videos or not _usable(name):
            raise InputError(f"{self._path}: video {key}: the id is there twice, or its name cannot name a folder")
        self._videos[key] = entry

    def _add_image(self, entry: dict) -> None:
        key = whole_number(entry, "id", f"{self._path}: an image")
        where = f"{self._path}: image {key}"
        name = field(entry, "file_name", where)
        if not _usable(name):
            raise InputError(f"{where}: file_name {name!r} is no path inside the folder of images")
        if key in self._images or name in self._files:
            raise InputError(f"{where}: the id or its file {name} is there twice")
        check_size(entry, where)
        if entry.get("video_id") is not None:
            whole_number(entry, "frame_id", where)
            if whole_number(entry, "video_id", where) not in self._videos and self._videos:
                raise InputError(f"{where}: unknown video_id {entry['video_id']!r}, 'videos' does not list it")
        self._images[key] = entry
        self._files.add(name)

    def _add_annotation(self, entry: dict) -> None:
        key = whole_number(entry, "id", f"{self._path}: an annotation")
        where = f"{self._path}: annotation {key}"
        if key in self._seen:
            raise InputError(f"{where}: a second annotation has this id")
        self._seen.add(key)
        image = self._images.get(whole_number(entry, "image_id", where))
        if image is None:
            raise InputError(f"{where}: unknown image_id {entry['image_id']!r}, 'images' does not list it")
        number = whole_number(entry, "category_id", where)
        if number not in self._names:
            raise InputError(f"{where}: unknown category_id {number!r}, 'categories' lists {sorted(self._names)}")
        if not entry.get("iscrowd"):
            self._members[image["id"]].append(self._annotation(entry, image, where))

    def _annotation(self, entry: dict, image: dict, where: str) -> Annotation:
        check_shape(field(entry, "segmentation", where), _size(image), f"{where}, segmentation")
        if not entry["segmentation"]:
            raise InputError(f"{where}: segmentation is empty; an object outside the image has no annotation there")
        if "visible" in entry:
            if entry["visible"] is None:
                raise InputError(f"{where}: visible is null; write [] for completely hidden, or leave it out")
            check_shape(entry["visible"], _size(image), f"{where}, visible")
        in_video = image.get("video_id") is not None
        return Annotation(
            key=entry["id"],
            id=whole_number(entry, "track_id", where) if in_video else entry["id"],
            category=self._names[entry["category_id"]],
            amodal=entry["segmentation"],
            visible=entry.get("visible"),
            occluders=tuple(listed(entry, "occluders", where)),
            depth_order=None,
            where=where,
        )

    def _with_occluders(self, one: Annotation, members: list[Annotation]) -> Annotation:
        """The annotation itself; an InputError where an occluder is not another one of the same image."""
        others = [other.key for other in members if other is not one]
        for key in one.occluders:
            if key not in others:
                raise InputError(f"{one.where}: its occluder {key!r} is no other annotation of the same image")
        return one


def _usable(name: object) -> bool:
    """Whether a name stays inside the folder that it is put in."""
    path = PurePosixPath(name) if isinstance(name, str) else PurePosixPath("..")
    return path.name != "" and not path.is_absolute() and ".." not in path.parts


def _size(image: dict) -> tuple[int, int]:
    return image["height"], image["width"]


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
