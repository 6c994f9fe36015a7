"""Files of visible tracks: KITTI MOTS, PointTrack, YouTube-VIS results, Scalabel, mmtracking."""

import json

import numpy as np
import pytest
from PIL import Image

from samodal.errors import InputError
from samodal.results.open import open_visible
from samodal.rle import Rle

SIZE = (4, 6)


def rectangle(x0: int, x1: int, size=SIZE) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[1:3, x0:x1] = True
    return mask


def coded(x0: int, x1: int, size=SIZE) -> dict:
    return Rle.encode(rectangle(x0, x1, size)).to_coco()


EMPTY = Rle.encode(np.zeros(SIZE)).to_coco()


def save(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def kitti_line(t, key, kind, mask):
    return f"{t} {key} {kind} {mask['size'][0]} {mask['size'][1]} {mask['counts']}"


@pytest.fixture
def kitti(tmp_path):
    """A car in frames 0 and 2, a pedestrian in frame 1, and a region to ignore in frame 0."""
    lines = [
        kitti_line(0, 1000, 1, coded(0, 2)),
        kitti_line(0, 10000, 10, coded(4, 6)),
        kitti_line(1, 2003, 2, coded(2, 3)),
        kitti_line(2, 1000, 1, coded(1, 3)),
    ]
    return save(tmp_path / "0005.txt", "\n".join(lines) + "\n")


def test_kitti_text_gives_tracks_and_never_the_ignore_region(kitti):
    clip = open_visible(kitti, "a", SIZE, 4)
    car, walker = clip.tracks
    assert (car.id, car.category, walker.id, walker.category) == (1000, "car", 2003, "pedestrian")
    assert [m is not None for m in car.visible] == [True, False, True, False]
    np.testing.assert_array_equal(car.visible[2].decode(), rectangle(1, 3))
    assert all(m is None for track in clip.tracks for m in track.amodal)
    assert clip.name == "a" and len(clip) == 4


def test_without_a_length_the_last_frame_named_is_the_last(kitti):
    assert len(open_visible(kitti, "a", SIZE, None)) == 3


def test_a_kitti_file_may_go_on_after_the_end_of_an_excerpt(kitti):
    clip = open_visible(kitti, "a", SIZE, 1)
    assert [track.id for track in clip.tracks] == [1000]
    assert clip.info == {"frames_beyond": 2}


def test_kitti_pictures_say_the_same_as_the_text(kitti, tmp_path):
    for t, pixels in enumerate([{1000: (0, 2), 10000: (4, 6)}, {2003: (2, 3)}, {1000: (1, 3)}]):
        picture = np.zeros(SIZE, np.uint16)
        for key, (x0, x1) in pixels.items():
            picture[rectangle(x0, x1)] = key
        (tmp_path / "png").mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "png" / f"{t:06d}.png")
    text, pictures = open_visible(kitti, "a", SIZE, 4), open_visible(tmp_path / "png", "a", SIZE, 4)
    assert [(t.id, t.category, t.visible) for t in text.tracks] == [
        (t.id, t.category, t.visible) for t in pictures.tracks
    ]


def test_pointtrack_has_plain_ids(tmp_path):
    path = save(tmp_path / "0001.txt", kitti_line(1, 7, 1, coded(0, 2)))
    (track,) = open_visible(path, "a", SIZE, 2).tracks
    assert (track.id, track.category) == (7, "car")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (kitti_line(0, 1000, 1, coded(0, 2)), "track 1000, frame 0.*twice"),
        (kitti_line(3, 1000, 1, coded(0, 2, (5, 6))), "5x6 but the frame is 4x6"),
        ("3 1000 1 4 6 0", "do not add up to 4x6"),
        ("3 1000 1 4", "line 5: expected 'frame id class"),
        ("3 1000 7 4 6 abc", "line 5: unknown class 7"),
    ],
)
def test_a_wrong_line_is_refused_with_file_id_and_both_values(kitti, line, message):
    save(kitti, kitti.read_text() + line + "\n")
    with pytest.raises(InputError, match=f"0005.txt.*{message}"):
        open_visible(kitti, "a", SIZE, 4)


def test_pictures_of_another_size_are_refused(tmp_path):
    Image.fromarray(np.zeros((5, 6), np.uint16)).save(tmp_path / "000000.png")
    with pytest.raises(InputError, match="000000.png: 5x6.*4x6"):
        open_visible(tmp_path, "a", SIZE, 1)


def genvis(*entries):
    """Results in which absence is a mask without any pixel, as GenVIS and VITA write them."""
    return [
        {"video_id": video, "category_id": category, "score": score, "segmentations": masks}
        for video, category, score, masks in entries
    ]


def test_genvis_results_have_their_index_as_id_and_empty_masks_are_absent(tmp_path):
    results = genvis(
        (1, 26, 0.9, [coded(0, 2), EMPTY]), (1, 26, 0.2, [EMPTY, EMPTY]), (1, 24, 0.5, [None, coded(1, 2)])
    )
    car, walker = open_visible(save(tmp_path / "results.json", results), "a", SIZE, 2).tracks
    assert (car.id, car.category, car.score, walker.id, walker.category) == (0, "car", 0.9, 2, "person")
    assert car.visible[1] is None and walker.visible[0] is None
    assert car.scores == (0.9, None)


def test_one_of_several_videos_is_chosen_and_ids_stay_unique_in_the_file(tmp_path):
    path = save(tmp_path / "r.json", genvis((1, 26, 0.9, [EMPTY]), (2, 26, 0.8, [coded(0, 1)])))
    with pytest.raises(InputError, match="results of 2 videos"):
        open_visible(path, "a", SIZE, 1)
    (track,) = open_visible(path, "a", SIZE, 1, video_id=2).tracks
    assert track.id == 1
    with pytest.raises(InputError, match="no results of video 3"):
        open_visible(path, "a", SIZE, 1, video_id=3)


def test_no_results_at_all_are_a_clip_without_tracks(tmp_path):
    clip = open_visible(save(tmp_path / "r.json", []), "a", SIZE, 3)
    assert clip.tracks == () and len(clip) == 3


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ([coded(0, 2)] * 3, "result 0: 3 masks but the video has 2 frames"),
        ([coded(0, 2), coded(0, 2, (5, 6))], "track 0, frame 1: the mask is 5x6 but the frame is 4x6"),
        ([{"counts": "04"}, None], "track 0, frame 0: expected run lengths"),
    ],
)
def test_results_of_another_video_are_refused(tmp_path, masks, message):
    path = save(tmp_path / "r.json", genvis((1, 26, 0.9, masks)))
    with pytest.raises(InputError, match=f"r.json.*{message}"):
        open_visible(path, "a", SIZE, 2)


def test_truncated_json_is_refused_with_its_place(tmp_path):
    path = save(tmp_path / "r.json", json.dumps(genvis((1, 26, 0.9, [EMPTY])))[:-9])
    with pytest.raises(InputError, match="r.json: not valid JSON at line 1.*cut off"):
        open_visible(path, "a", SIZE, 1)


def scalabel(*frames):
    return [{"name": f"f{i}", "videoName": "v", "frameIndex": i, "labels": labels} for i, labels in frames]


def test_scalabel_frames_that_count_from_a_longer_video_are_taken_in_order(tmp_path):
    frames = scalabel((166, []), (165, [{"id": "406", "category": "car", "rle": coded(0, 2)}]))
    (track,) = open_visible(save(tmp_path / "s.json", frames), "a", SIZE, 2).tracks
    assert track.id == 406
    assert [m is not None for m in track.visible] == [True, False]


def test_scalabel_draws_polygons_where_there_are_no_run_lengths(tmp_path):
    square = [[1, 1], [5, 1], [5, 3], [1, 3]]
    label = {"id": "a", "category": "car", "poly2d": [{"vertices": square, "types": "LLLL", "closed": True}]}
    path = save(tmp_path / "s.json", {"frames": scalabel((0, [label]))})
    (track,) = open_visible(path, "a", SIZE, 1).tracks
    np.testing.assert_array_equal(track.visible[0].decode(), rectangle(1, 5))


def test_a_curved_scalabel_outline_bulges_towards_its_control_points(tmp_path):
    size = (40, 40)
    vertices = [[10, 20], [10, 0], [30, 0], [30, 20]]
    label = {
        "id": "a",
        "category": "car",
        "poly2d": [{"vertices": vertices, "types": "LCCL", "closed": True}],
    }
    (track,) = open_visible(save(tmp_path / "s.json", scalabel((0, [label]))), "a", size, 1).tracks
    x0, y0, x1, y1 = track.visible[0].box
    assert (x0, x1, y1) == (10, 30, 20) and y0 == pytest.approx(5, abs=1)  # a cubic reaches 3/4 of the way


def test_an_id_twice_in_a_scalabel_frame_is_refused(tmp_path):
    label = {"id": "1", "category": "car", "rle": coded(0, 2)}
    with pytest.raises(InputError, match="track 1, frame 0.*twice"):
        open_visible(save(tmp_path / "s.json", scalabel((0, [label, label]))), "a", SIZE, 1)


def coco_vid(**annotation):
    return {
        "categories": [{"id": 1, "name": "sedan"}],
        "videos": [{"id": 1, "name": "v"}],
        "images": [{"id": 5 + t, "video_id": 1, "frame_id": t, "height": 4, "width": 6} for t in range(2)],
        "annotations": [{"id": 1, "image_id": 6, "category_id": 1, "instance_id": 9, **annotation}],
    }


def test_coco_vid_gives_tracks_by_instance_id(tmp_path):
    path = save(tmp_path / "ann.json", coco_vid(segmentation=coded(0, 2)))
    (track,) = open_visible(path, "a", SIZE, 2).tracks
    assert (track.id, track.category, track.visible[0]) == (9, "sedan", None)
    assert track.visible[1].area == 4


def test_boxes_without_masks_are_refused(tmp_path):
    with pytest.raises(InputError, match="annotation 1: a box but no mask"):
        open_visible(save(tmp_path / "ann.json", coco_vid(bbox=[0, 0, 1, 1])), "a", SIZE, 2)


def test_mmtracking_results_give_tracks_and_scores(tmp_path):
    boxes = [[[], [[3, 0, 1, 2, 3, 0.75]]], [[], []]]
    masks = [[[], [coded(0, 2)]], [[], []]]
    path = save(tmp_path / "r.json", {"track_bboxes": boxes, "track_masks": masks})
    (track,) = open_visible(path, "a", SIZE, 2).tracks
    assert (track.id, track.scores, track.category) == (3, (0.75, None), "class 1")
    with pytest.raises(InputError, match="results of 2 frames but the video has 5"):
        open_visible(path, "a", SIZE, 5)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", {"hello": 1}, "unknown form"),
        ("x.json", [{"image_id": 1, "segmentation": {}}], "no identity"),
        ("x.csv", "a,b", "unknown form"),
        ("x.json", None, "no such file"),
        ("x.txt", None, "no such file"),
    ],
)
def test_what_is_no_such_file_is_refused_with_the_known_ones(tmp_path, name, content, message):
    if content is not None:
        save(tmp_path / name, content)
    with pytest.raises(InputError, match=message):
        open_visible(tmp_path / name, "a", SIZE, 1)
