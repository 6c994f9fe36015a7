"""Overlays: hidden and visible parts differ, odd sizes play, times are kept."""

from dataclasses import replace

import numpy as np
import pytest

from made_up import square
from samodal.drawing import labels as labelling
from samodal.drawing.graph import _write, draw_graph
from samodal.drawing.labels import Label, Labels, label_of, overlap
from samodal.drawing.overlay import Drawer
from samodal.drawing.palette import PALETTE, color_of
from samodal.drawing.video import VideoWriter, _planes
from samodal.errors import InputError
from samodal.masks import Mask
from samodal.rle import Rle
from samodal.tracks import FrameResult, Instance, State

SIZE = (101, 121)
GREY = np.full((*SIZE, 3), 128, np.uint8)


def result(state=State.VISIBLE, followed=None, t=0):
    whole = square(30, 30, side=40, size=SIZE)
    visible = whole.copy()
    visible[:, 50:] = False
    one = Instance(
        3, "car", 0.5, state, Rle.encode(visible) if state == State.VISIBLE else None, Rle.encode(whole),
        points=np.array([[40, 50]], np.float32), followed=followed,
    )  # fmt: skip
    return FrameResult(t, t / 10, (one,)), visible, whole & ~visible


def test_the_hidden_part_is_striped_and_the_visible_part_evenly_tinted():
    frame, visible, hidden = result()
    drawn = Drawer().draw(GREY, frame)
    inside = np.zeros(SIZE, bool)
    inside[60:66, 34:46] = True  # away from outline, cross and label
    assert len(np.unique(drawn[inside & visible], axis=0)) == 1
    inside = np.zeros(SIZE, bool)
    inside[40:66, 54:66] = True
    assert len(np.unique(drawn[inside & hidden], axis=0)) == 2
    assert (drawn[80:, 80:] == 128).all()


def test_a_hidden_mask_is_hatched_softly_by_so_much_as_its_place_is_unsure():
    """How much of the picture changes, by columns; the mask begins at 40. The rows are away from its corners."""
    mask = Mask.of(square(40, y=50, side=30, size=SIZE))

    def drawn(spread) -> np.ndarray:
        one = Instance(3, "car", 0.5, State.HIDDEN, None, mask, centre_spread=spread)
        return Drawer(labels=False).draw(GREY, FrameResult(0, 0.0, (one,)))

    def changed(spread) -> np.ndarray:
        return np.abs(drawn(spread)[60:70].astype(float) - 128).mean(axis=(0, 2))

    plain, sure, unsure, aside = (changed(s) for s in (None, np.ones(2), np.array([5.0, 5.0]), np.array([1.0, 9.0])))
    assert plain[30:36].max() == 0 and sure[30:36].max() == 0 and unsure[30:36].min() > 0
    assert sure[50:60].mean() == pytest.approx(plain[50:60].mean(), rel=0.02)  # far from every edge
    assert unsure[44:47].mean() < 0.9 * plain[44:47].mean()
    assert aside[30:36].max() == 0  # surely at this x, if not at this y
    assert np.array_equal(drawn(np.array([5.004, 5.0])), drawn(np.array([5.0, 5.0])))  # as frames.jsonl has it


def test_drawing_leaves_the_callers_image_alone():
    image = GREY.copy()
    Drawer().draw(image, result()[0])
    assert np.array_equal(image, GREY)


def test_followed_points_leave_a_trail_that_ends_when_the_instance_returns():
    drawer = Drawer()
    for t in range(3):
        drawn = drawer.draw(GREY, result(State.HIDDEN, np.array([[20 + 20 * t, 90]], np.float32), t)[0])
    assert tuple(drawn[90, 30]) == color_of(3) == tuple(drawn[90, 50])
    again = drawer.draw(GREY, result(State.VISIBLE, None, 3)[0])
    assert (again[90, 20:60] == 128).all()


def test_points_are_drawn_where_frames_jsonl_has_them():
    exact, written = (np.array([[x, 90], [60, 70]], np.float32) for x in (30.4967, 30.5))
    drawn = [Drawer().draw(GREY, result(State.HIDDEN, points)[0]) for points in (exact, written)]
    assert np.array_equal(*drawn)


def test_many_followed_points_do_not_cover_the_mask():
    grid = np.stack(np.meshgrid(np.arange(34, 70, 10), np.arange(34, 70, 10)), -1).reshape(-1, 2).astype(np.float32)
    drawn = Drawer().draw(GREY, result(State.HIDDEN, followed=grid)[0])
    marked = (drawn[45:68, 32:68] == color_of(3)).all(axis=-1)
    assert 0 < marked.mean() < 0.1


def test_trails_of_instances_that_are_forgotten_are_forgotten():
    drawer = Drawer()
    drawer.draw(GREY, result(State.HIDDEN, np.array([[20, 90]], np.float32))[0])
    drawer.draw(GREY, FrameResult(1, 0.1, ()))
    assert len(drawer._trails) == 0


def test_ids_that_follow_each_other_have_different_colours():
    colors = np.array([color_of(n) for n in range(6)], int)
    assert min(np.abs(a - b).sum() for n, a in enumerate(colors) for b in colors[n + 1 :]) > 60
    assert len({color_of(f"car-{n}") for n in range(1, 9)}) == len({color_of(str(n)) for n in range(8)}) == 8
    assert color_of("7@120") == color_of("7") == color_of(7) and color_of("@3") == color_of("3")
    assert color_of("anna") == color_of("anna") and color_of("9" * 5000)


def passing_behind(whole=None) -> FrameResult:
    """Car 1 stands before car 2, of which the right half is visible."""
    whole = square(60, 30, side=40, size=SIZE) if whole is None else whole
    front = square(20, 30, side=60, size=SIZE)
    return FrameResult(
        0, 0.0, (Instance(1, "car", 0.5, State.VISIBLE, front, front),
                 Instance(2, "car", 0.5, State.VISIBLE, whole & ~front, whole)),
    )  # fmt: skip


def test_the_graph_is_drawn_only_where_it_is_asked_for():
    assert np.array_equal(Drawer().draw(GREY, passing_behind()), Drawer(graph=False).draw(GREY, passing_behind()))
    alone = passing_behind(whole=square(85, 30, side=20, size=SIZE))
    assert np.array_equal(Drawer().draw(GREY, alone), Drawer(graph=True).draw(GREY, alone))


def test_an_arrow_leads_from_what_hides_to_what_is_hidden_and_changes_nothing_beside_it():
    frame = passing_behind()
    plain, drawn = (Drawer(labels=False, graph=graph).draw(GREY, frame) for graph in (False, True))
    changed = (plain != drawn).any(axis=2)
    # From the middle of the front's visible mask (49, 59) to that of the back's (89, 49).
    assert tuple(drawn[60, 50]) == tuple(drawn[50, 88]) == color_of(1)
    rows, columns = np.nonzero(changed)
    way = np.array([40, -10]) / np.hypot(40, 10)
    beside = np.abs((columns - 49) * way[1] - (rows - 59) * way[0])
    along = (columns - 49) * way[0] + (rows - 59) * way[1]
    assert changed.any() and beside.max() <= 13 and along.min() >= -8 and along.max() <= 46


def ends(frame: FrameResult) -> list[np.ndarray]:
    """The middles of the two visible masks."""
    return [np.argwhere(instance.visible.decode()).mean(axis=0) for instance in frame]


def test_the_arrow_of_a_larger_share_is_thicker():
    thin = passing_behind(whole=square(76, 10, side=40, size=SIZE))
    widths = []
    for frame in (thin, passing_behind()):
        canvas = GREY.copy()
        draw_graph(canvas, frame, color_of, None)
        widths.append((canvas != GREY).any(axis=2).sum() / np.hypot(*np.subtract(*ends(frame))))
    assert thin.edges()[0][2] < 0.1 and widths[0] < widths[1]


def test_a_fully_hidden_instance_in_the_middle_of_what_hides_it_has_an_arrow_too():
    front = square(20, 30, side=60, size=SIZE)
    hidden = Instance(2, "car", 0.5, State.HIDDEN, None, square(40, 50, side=20, size=SIZE))
    frame = FrameResult(0, 0.0, (Instance(1, "car", 0.5, State.VISIBLE, front, front), hidden))
    plain, drawn = (Drawer(graph=graph).draw(GREY, frame) for graph in (False, True))
    assert (plain != drawn).any(axis=2).sum() > 100


def test_shares_are_written_clear_of_each_other_and_of_the_labels():
    canvas, taken = np.zeros((100, 200, 3), np.uint8), [(0, 0, 199, 45)]
    for share in ("10%", "20%", "30%"):
        _write(canvas, share, (20, 50), (180, 50), (255, 255, 255), taken)
    _, *others = taken
    assert len(others) == 3 and canvas[46:].any() and not canvas[:46].any()
    for n, (x0, y0, x1, y1) in enumerate(others):
        assert all(x1 < a0 or a1 < x0 or y1 < b0 or b1 < y0 for a0, b0, a1, b1 in others[:n])


def test_frames_too_large_for_a_video_are_refused_with_the_limit(tmp_path):
    with pytest.raises(InputError, match="a.mp4: 16385x10 pixels .* 16384 on a side at most; give --no-overlay"):
        VideoWriter(tmp_path / "a.mp4", (10, 16385), 10.0)


def test_odd_sizes_and_uneven_times_are_written_as_h264_that_plays(tmp_path):
    av = pytest.importorskip("av")
    times = [0, 0.1, 0.35, 0.4]
    with VideoWriter(tmp_path / "a.mp4", SIZE, 10.0) as writer:
        for t, time in enumerate(times):
            writer.write(np.full((*SIZE, 3), 60 * t, np.uint8), time)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
    assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
    assert (stream.height, stream.width) == (102, 122)
    assert [f.time for f in frames] == pytest.approx(times, abs=2e-3)
    assert [round(f.to_ndarray(format="rgb24").mean() / 60) for f in frames] == [0, 1, 2, 3]


def test_a_frame_of_a_video_has_its_colours_as_bt601_has_them():
    image = np.random.default_rng(0).integers(0, 255, (12, 20, 3)).astype(np.uint8)
    luma, blue, red = np.split(_planes(image).ravel().astype(float), [12 * 20, 12 * 20 + 6 * 10])
    means = image.reshape(6, 2, 10, 2, 3).mean((1, 3))
    assert luma.reshape(12, 20) == pytest.approx(16 + image @ [65.481, 128.553, 24.966] / 255, abs=1)
    assert blue.reshape(6, 10) == pytest.approx(128 + means @ [-37.797, -74.203, 112] / 255, abs=2)
    assert red.reshape(6, 10) == pytest.approx(128 + means @ [112, -93.786, -18.214] / 255, abs=2)


def test_frames_that_are_weeks_apart_are_shown_for_some_hours(tmp_path):
    av = pytest.importorskip("av")
    with VideoWriter(tmp_path / "a.mp4", SIZE, 0.01) as writer:
        for time in (0, 500, 2e11):
            writer.write(np.zeros((*SIZE, 3), np.uint8), time)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert [frame.time for frame in container.decode(video=0)] == [0, 500, 500 + 21_600]


def test_of_an_instance_of_little_score_only_what_is_visible_is_drawn():
    frame, visible, hidden = result()
    doubted = FrameResult(0, 0.0, tuple(replace(instance, score=0.2) for instance in frame.instances))
    drawn = Drawer(labels=False).draw(GREY, doubted)
    far = hidden.copy()
    far[:, :54] = False  # the outline of what is visible
    assert (drawn[far] == 128).all() and (drawn[visible] != 128).any()


def test_neighbouring_colours_stay_apart_for_people_who_see_no_red_or_no_green():
    """Simulated as Machado et al. (2009) do for full protanopia, deuteranopia and tritanopia."""
    seen_as = np.array([
        np.eye(3),
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ])  # fmt: skip
    linear = (np.array(PALETTE) / 255) ** 2.2
    for matrix in seen_as:
        colors = 255 * np.clip(linear @ matrix.T, 0, 1) ** (1 / 2.2)
        apart = np.abs(colors[:, None] - colors[None]).sum(axis=-1)[~np.eye(len(PALETTE), dtype=bool)]
        assert apart.min() > 100


def text_of(share: float, **changes) -> str:
    whole = square(30, 30, side=40, size=SIZE)
    values = {"id": 3, "category": "car", "score": 0.5, "state": State.VISIBLE, "visible": whole, "amodal": whole}
    return label_of(Instance(**(values | changes)), share, small=100)


def test_a_label_says_how_much_others_hide_and_never_a_bare_percentage():
    assert text_of(0.404) == "3 car 40% hidden"
    assert text_of(0.0) == text_of(0.09) == "3 car"


def test_a_car_that_nothing_hides_has_no_hidden_share_however_large_its_mask_was_guessed():
    visible, guess = square(40, 40, side=20, size=SIZE), square(30, 30, side=40, size=SIZE)
    frame = FrameResult(0, 0.0, (Instance(3, "car", 0.5, State.VISIBLE, visible, guess),))
    assert frame[3].occlusion == 0.75
    (label,) = Drawer()._texts(frame, 1.0)
    assert label.text == "3 car"


def test_a_hidden_instance_says_for_how_long_and_a_tiny_one_its_id_alone():
    assert text_of(1.0, visible=None, state=State.HIDDEN, frames_since_seen=7, seconds_since_seen=0.7) == (
        "3 car hidden 0.7s"
    )
    assert text_of(0.5, amodal=square(30, 30, side=6, size=SIZE)) == "3"


def test_labels_of_a_crowd_cover_neither_each_other_nor_the_crowd():
    anchors = [(150 + 40 * n, 200, 180 + 40 * n, 230) for n in range(8)]
    labels = [Label(n, f"{n} pedestrian 40% hidden", anchor, (255, 0, 0)) for n, anchor in enumerate(anchors)]
    crowd = np.zeros((400, 640), bool)
    crowd[200:230, 150:460] = True
    boxes = Labels().draw(np.zeros((400, 640, 3), np.uint8), labels, [Mask.of(crowd)])
    assert len(boxes) == 8
    assert not any(overlap(a, b) for n, a in enumerate(boxes) for b in boxes[:n])
    assert not any(crowd[y0:y1, x0:x1].any() for x0, y0, x1, y1 in boxes)


@pytest.mark.parametrize("seed", range(5))
def test_a_label_goes_to_the_place_that_is_cheapest_of_all(seed):
    rng, size = np.random.default_rng(seed), (300, 400)
    crowd = labelling._occupied([Mask.of(rng.random(size) < 0.002)], size)
    taken = [(x, y, x + 60, y + 20) for x, y in rng.integers(20, 280, (12, 2)).tolist()]
    label, placing = Label(7, "7 car", (180, 130, 230, 170), (255, 0, 0)), Labels()
    placing._before = {7: 5}
    width, height = labelling.extent("7 car", 1.0)
    costs = {}
    for number, (x, y) in enumerate(labelling._places(label.anchor, width, height, 3)):
        place = (x, y, x + width, y + height)
        if not any(overlap(place, other) for other in taken):
            costs[number] = (
                labelling.COVERED * labelling._covered(crowd, place)
                + labelling.FAR * labelling._distance(place, label.anchor) / height
                + labelling.LATER * number
                + labelling.MOVED * (number != 5)
            )
    assert placing._place(label, "7 car", size, 1.0, crowd, taken)[0] == min(costs, key=costs.get)


def test_a_label_belongs_to_the_largest_piece_of_a_mask_and_to_no_fleck():
    mask = square(60, 60, side=30, size=SIZE)
    mask[2, 2] = True
    frame = FrameResult(0, 0.0, (Instance(3, "car", 0.5, State.VISIBLE, mask, mask),))
    (label,) = Drawer()._texts(frame, 1.0)
    assert label.anchor == (60, 60, 90, 90)


@pytest.mark.parametrize("rows", [480, 2160])
def test_lines_and_letters_keep_their_share_of_the_picture(rows):
    whole = square(rows // 2, rows // 2, side=rows // 4, size=(rows, rows))
    frame = FrameResult(0, 0.0, (Instance(3, "car", 0.5, State.VISIBLE, whole, whole),))
    grey = np.full((rows, rows, 3), 128, np.uint8)
    outlined = (Drawer(labels=False).draw(grey, frame)[rows * 5 // 8] == color_of(3)).all(axis=1).sum()
    assert 0.004 < outlined / rows < 0.015
    changed = (Drawer().draw(grey, frame) != Drawer(labels=False).draw(grey, frame)).any(axis=(1, 2)).sum()
    assert 0.02 < changed / rows < 0.06


def test_whole_masks_are_drawn_alike_where_only_they_are_wanted():
    frame, visible, hidden = result()
    drawn = Drawer(labels=False, points=False, whole=True).draw(GREY, frame)
    inside = np.zeros(SIZE, bool)
    inside[40:60, 36:64] = True
    assert len(np.unique(drawn[inside & (visible | hidden)], axis=0)) == 1


def test_the_legend_stands_at_the_foot_and_is_left_out_of_pictures_too_small_for_it():
    grey = np.full((300, 400, 3), 128, np.uint8)
    drawn = Drawer(legend=True).draw(grey, FrameResult(3, 0.3, ()))
    assert (drawn[:260] == 128).all() and (drawn[270:] != 128).any()
    assert (Drawer(legend=True).draw(GREY[:, :60], FrameResult(3, 0.3, ())) == 128).all()
