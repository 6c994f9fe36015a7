"""Data of your own: `coco:ANNOTATIONS.json,IMAGES`, COCO's JSON with amodal and visible masks; `coco-vid:` knows less.

As mmtracking writes it, COCO-VID has what is visible alone. A sequence is a video, or one image on its own.

docs/data.md has a whole example. What makes it more than COCO's instances:

    images       id, file_name, width, height; video_id and frame_id where it is a frame of a video
    annotations  id, image_id, category_id, segmentation (amodal); visible and occluders where known; track_id in videos
    categories   id, name
    videos       id, name and fps; may be left out

Other data sets say the same in other words: `Form`.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from samodal.data.annotated import (
    AnnotatedDataset,
    AnnotatedImage,
    AnnotatedSequence,
    Annotation,
    TrackCheck,
    by_name,
    two_paths,
)
from samodal.data.dataset import Report, collected, refuse
from samodal.data.fields import (
    check_size,
    class_names,
    class_of,
    frame_number,
    frame_rate,
    listed,
    place_of,
    usable_path,
    whole_number,
)
from samodal.data.paths import ImageFolder
from samodal.errors import InputError, page, shown
from samodal.files import check_mask, field, read_json
from samodal.results.fields import is_crowd


@dataclass(frozen=True)
class Form:
    """How a data set of this family says it.

    Attributes:
        track: field of an annotation with the track's number; the first of several names that is there.
        visible: field with the visible mask; None where `segmentation` is what can be seen, and no more is known.
        required: fields that no annotation may lack, beside those that all files have.
        by_folder: whether a video is the images of a folder, the first one of `file_name`, whatever `video_id` says.
    """

    track: tuple[str, ...] = ("track_id",)
    visible: str | None = "visible"
    required: tuple[str, ...] = ()
    by_folder: bool = False


OWN = Form()
COCO_VID = Form(track=("instance_id", "track_id"), visible=None)
"""As mmtracking writes it: the masks are what can be seen."""
SAILVOS = Form(track=("obj_id",), visible="visible_mask", required=("visible_mask",), by_folder=True)
"""SAIL-VOS and its copies by VATrack; the numbers of its `videos` are not unique. Source: VATrack's converters."""


def open_coco(path: Path, report: Report = refuse) -> AnnotatedDataset:
    """The data set of ANNOTATIONS.json,IMAGES.

    Args:
        report: gets each thing that is wrong and can be left out; by default it is raised.

    Raises:
        InputError: if files are missing, damaged, or do not fit one another.
    """
    annotations, images = two_paths(path, "coco")
    return AnnotatedDataset(annotations, images, read_amodal_coco(annotations, report, images=images), report)


def open_coco_vid(path: Path, report: Report = refuse) -> AnnotatedDataset:
    """The data set of ANNOTATIONS.json,IMAGES in COCO-VID's form, as mmtracking writes it, with visible masks alone.

    Args, Raises: as for `open_coco`.
    """
    annotations, images = two_paths(path, "coco-vid")
    sequences = read_amodal_coco(annotations, report, COCO_VID, images)
    return AnnotatedDataset(annotations, images, sequences, report, has_amodal=False)


def read_amodal_coco(
    path: Path, report: Report = refuse, form: Form = OWN, images: Path | None = None
) -> list[AnnotatedSequence]:
    """The sequences of a file, sorted by name; an image without a video is a sequence of one frame.

    Args:
        form: how the file says it.
        report: gets each thing that is wrong; what it concerns is then left out.
        images: the folder of images, for paths as labelling tools write them; None: paths are taken as they stand.

    Raises:
        InputError: if the file is missing, cut off, or no such JSON; the rest goes to `report`.
    """
    content = read_json(path)
    for name in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise InputError(f"{path}: no list {name!r} in it; {page('data.md')} shows a whole file")
    folder = None if images is None else ImageFolder(images)
    for entry in content["images"] if folder is not None else ():
        if isinstance(entry, dict) and "file_name" in entry:
            entry["file_name"] = folder.path(entry["file_name"])
    reader = _Reader(path, content, report, form)
    sequences = collected(reader.groups(), reader.sequence, report)
    return by_name(sequences, path, report)


class _Reader:
    """One file: images and annotations by id, then sequences of them."""

    def __init__(self, path: Path, content: dict, report: Report, form: Form):
        self._path, self._report, self._form = path, report, form
        self._names = class_names(content["categories"], path, report)
        self._videos: dict[int | str, dict] = {}
        if not form.by_folder:
            collected(listed(content, "videos", str(path)), self._add_video, report)
        self._images: dict[int, dict] = {}
        self._files: set[str] = set()
        self._refused: set[int] = set()  # ids of images, of whose annotations no second problem is made
        collected(content["images"], self._add_image, report)
        self._members: dict[int, list[Annotation]] = {key: [] for key in self._images}
        self._crowds: Counter[int] = Counter()
        self._seen: set[int] = set()
        collected(content["annotations"], self._add_annotation, report)
        for members in self._members.values():
            members[:] = collected(
                members, lambda annotation, all_=members: self._with_occluders(annotation, all_), report
            )

    def groups(self) -> list[list[dict]]:
        """The images of each sequence."""
        groups: dict[tuple, list[dict]] = {}
        for key, entry in self._images.items():
            video = self._video(entry)
            groups.setdefault(("image", key) if video is None else ("video", video), []).append(entry)
        return list(groups.values())

    def sequence(self, entries: list[dict]) -> AnnotatedSequence:
        """One sequence; an InputError where frames or sizes do not fit one another."""
        first, video, tracks = entries[0], self._video(entries[0]), TrackCheck()
        if video is not None:
            entries = sorted(entries, key=lambda entry: entry["frame_id"])
        images = [self._image(entry, tracks) for entry in entries]
        for image, before in zip(images[1:], images, strict=False):
            if image.number == before.number:
                raise InputError(f"{self._path}: video {video}: two images have the frame_id {image.number}")
            if image.size != before.size:
                raise InputError(
                    f"{self._path}: video {video}: {image.file_name} is {_by(image.size)} (height x width), but "
                    f"{before.file_name} is {_by(before.size)}; a video has one size"
                )
        stated = self._videos.get(video, {})
        name = str(PurePosixPath(first["file_name"]).with_suffix("")) if video is None else stated.get("name", video)
        return AnnotatedSequence(str(name).replace("/", "_"), tuple(images), frame_rate(stated, str(self._path)))

    def _video(self, image: dict) -> int | str | None:
        """The video that an image is a frame of, None for one on its own."""
        return PurePosixPath(image["file_name"]).parts[0] if self._form.by_folder else image.get("video_id")

    def _image(self, entry: dict, tracks: TrackCheck) -> AnnotatedImage:
        name = entry["file_name"]
        members = collected(
            self._members[entry["id"]], lambda annotation: tracks.passed(annotation, name), self._report
        )
        number = 0 if self._video(entry) is None else entry["frame_id"]
        return AnnotatedImage(name, _size(entry), number, tuple(members), self._crowds[entry["id"]])

    def _add_video(self, entry: dict) -> None:
        key = whole_number(entry, "id", f"{self._path}: a video")
        frame_rate(entry, f"{self._path}: video {key}")
        if key in self._videos or not usable_path(entry.get("name", "video")):
            raise InputError(f"{self._path}: video {key}: the id is there twice, or its name cannot name a folder")
        self._videos[key] = entry

    def _add_image(self, entry: dict) -> None:
        try:
            self._check_image(entry)
        except InputError:
            if isinstance(entry, dict) and isinstance(entry.get("id"), int):
                self._refused.add(entry["id"])
            raise
        self._images[entry["id"]] = entry
        self._files.add(entry["file_name"])

    def _check_image(self, entry: dict) -> None:
        key = whole_number(entry, "id", f"{self._path}: an image")
        where = f"{self._path}: image {key}"
        name = field(entry, "file_name", where)
        if not usable_path(name):
            raise InputError(f"{where}: file_name {shown(name)} is no path inside the folder of images")
        if key in self._images or name in self._files:
            raise InputError(f"{where}: the id or its file {name[:100]} is there twice")
        check_size(entry, where)
        if self._form.by_folder:
            frame_number(entry, "frame_id", where)
            if len(PurePosixPath(name).parts) < 2:
                raise InputError(f"{where}: file_name {shown(name)} has no folder, which names the video")
        elif entry.get("video_id") is not None:
            frame_number(entry, "frame_id", where)
            if whole_number(entry, "video_id", where) not in self._videos and self._videos:
                raise InputError(f"{where}: unknown video_id {shown(entry['video_id'])}, 'videos' does not list it")

    def _add_annotation(self, entry: dict) -> None:
        key = entry.get("image_id") if isinstance(entry, dict) else None
        if isinstance(key, int) and key in self._refused and key not in self._images:
            return
        where, image = place_of(entry, "image", self._images, self._seen, self._path)
        class_of(entry, self._names, where)
        if is_crowd(entry, where):
            self._crowds[image["id"]] += 1
        else:
            self._members[image["id"]].append(self._annotation(entry, image, where))

    def _annotation(self, entry: dict, image: dict, where: str) -> Annotation:
        if "segmentation" not in entry:
            raise InputError(f"{where}: no field 'segmentation'; a box alone is not enough, masks are needed")
        for name in self._form.required:
            field(entry, name, where)
        check_mask(entry["segmentation"], _size(image), f"{where}, segmentation")
        if not entry["segmentation"]:
            raise InputError(f"{where}: segmentation is empty; an object outside the image has no annotation there")
        visible = self._form.visible
        if visible in entry:
            if entry[visible] is None:
                raise InputError(f"{where}: {visible} is null; write [] for completely hidden, or leave it out")
            check_mask(entry[visible], _size(image), f"{where}, {visible}")
        track = next((name for name in self._form.track if name in entry), self._form.track[0])
        return Annotation(
            key=entry["id"],
            id=entry["id"] if self._video(image) is None else whole_number(entry, track, where),
            category=class_of(entry, self._names, where),
            amodal=entry["segmentation"],
            visible=entry.get(visible),
            occluders=tuple(listed(entry, "occluders", where)) if visible == OWN.visible else (),
            depth_order=None,
            where=where,
        )

    def _with_occluders(self, annotation: Annotation, members: list[Annotation]) -> Annotation:
        """The annotation itself; an InputError where an occluder is not another one of the same image."""
        others = [other.key for other in members if other is not annotation]
        for key in annotation.occluders:
            if key not in others:
                raise InputError(
                    f"{annotation.where}: its occluder {shown(key)} is no other annotation of the same image"
                )
        return annotation


def _size(image: dict) -> tuple[int, int]:
    return image["height"], image["width"]


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
