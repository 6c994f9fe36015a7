"""Clips in which something is pasted in front of an instance: a full gap, and truth for what is hidden in it."""

import numpy as np
import pytest

from samodal.data.open import open_dataset
from samodal.errors import InputError
from samodal.rle import Rle
from samodal.tracks import Clip, Track
from samodal.training.paste_clip import cut_out, draw_paste, paste_clip, write_clip

SIZE = (40, 90)
POISON = Rle.encode(np.ones(SIZE, bool))


def box(x0: int, y0: int, width: int, height: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y0 : y0 + height, x0 : x0 + width] = True
    return mask


def scene(frames: int = 12):
    """A green box of 8 x 8 goes right by 2 pixels a frame, a blue one of 12 x 12 stands; amodal masks are poison."""
    images, green, blue = [], [box(20 + 2 * t, 20, 8, 8) for t in range(frames)], [box(70, 4, 12, 12)] * frames
    for first, second in zip(green, blue, strict=True):
        image = np.full((*SIZE, 3), 90, np.uint8)
        image[first], image[second] = (0, 200, 0), (0, 0, 250)
        images.append(image)
    tracks = [
        Track(number, kind, None, tuple(map(Rle.encode, masks)), (POISON,) * frames)
        for number, kind, masks in ((3, "person", green), (5, "car", blue))
    ]
    return images, Clip("made", SIZE, tuple(f"{t:06d}" for t in range(frames)), tuple(tracks))


def pasted(gap: int = 3, velocity: float = 4.0):
    images, clip = scene()
    cutout = cut_out(images[0], clip.tracks[1].visible[0].decode(), "car")
    return images, clip, paste_clip(images, clip, cutout, target=3, middle=6, gap=gap, velocity=(velocity, 0.0))


def test_a_cutout_is_cut_to_its_box():
    cutout = cut_out(scene()[0][0], box(70, 4, 12, 12), "car")
    assert cutout.image.shape == (12, 12, 3) and cutout.mask.all()
    assert (cutout.image == (0, 0, 250)).all()


def test_the_target_is_seen_then_hidden_completely_then_seen_again():
    images, clip, made = pasted()
    target = made.clip.tracks[0]
    assert {5, 6, 7} <= set(made.hidden)
    assert made.hidden == tuple(range(made.hidden[0], made.hidden[-1] + 1))
    assert target.visible[0] == clip.tracks[0].visible[0] and target.visible[11] == clip.tracks[0].visible[11]
    assert [target.visible[t] is None for t in range(12)] == [t in made.hidden for t in range(12)]


def test_the_hidden_masks_are_what_was_visible_before_and_never_the_datas_amodal_ones():
    _, clip, made = pasted()
    for before, after in zip(clip.tracks, made.clip.tracks, strict=False):
        assert after.amodal == before.visible
    assert POISON not in [mask for track in made.clip.tracks for mask in (*track.amodal, *track.visible)]


def test_pixels_and_masks_agree():
    images, _, made = pasted()
    for t, (before, after) in enumerate(zip(images, made.images, strict=True)):
        front = made.clip.tracks[-1].visible[t]
        cover = np.zeros(SIZE, bool) if front is None else front.decode()
        assert (np.abs(after[cover].astype(int) - (0, 0, 250)).max() if cover.any() else 0) <= 130  # mixed at the rim
        changed = (before != after).any(2) & ~cover
        assert changed.sum() <= 200 and all((after[~cover & ~changed] == before[~cover & ~changed]).ravel())
        seen = made.clip.tracks[0].visible[t]
        assert seen is None or not (seen.decode() & cover).any()


def test_what_was_pasted_is_a_track_that_moves_relative_to_the_target():
    _, _, made = pasted()
    front = made.clip.tracks[-1]
    assert front.id == 6 and front.category == "car"
    middles = [(m.box[0] + m.box[2]) / 2 for m in front.visible[3:8]]
    assert np.diff(middles) == pytest.approx([6.0] * 4, abs=1.01)  # 2 of the target and 4 of its own, in whole pixels


def test_a_longer_gap_takes_a_larger_cutout():
    short, long = pasted(gap=1)[2], pasted(gap=5)[2]
    assert len(long.hidden) > len(short.hidden)
    assert long.clip.tracks[-1].visible[6].area > short.clip.tracks[-1].visible[6].area


def test_what_covers_at_no_size_and_frames_without_the_target_are_refused():
    images, clip = scene()
    ring = box(70, 4, 12, 12) & ~box(72, 6, 8, 8)
    with pytest.raises(InputError, match="at no reasonable size"):
        paste_clip(images, clip, cut_out(images[0], ring, "car"), target=3, middle=6, gap=3, velocity=(1.0, 0.0))
    cutout = cut_out(images[0], box(70, 4, 12, 12), "car")
    with pytest.raises(InputError, match="not visible in frame 40"):
        paste_clip(images, clip, cutout, target=3, middle=40, gap=3, velocity=(1.0, 0.0))


def test_drawn_clips_have_a_gap_and_depend_on_the_seed_alone():
    images, clip = scene()
    made = [draw_paste(images, clip, np.random.default_rng(seed), least=50) for seed in (4, 4, 5)]
    assert all(len(one.hidden) >= 3 for one in made)
    assert made[0].clip.tracks == made[1].clip.tracks
    assert made[0].clip.tracks != made[2].clip.tracks
    with pytest.raises(InputError, match="two tracks of 5000 visible pixels"):
        draw_paste(images, clip, np.random.default_rng(0), least=5000)


def test_a_written_clip_is_read_back_as_it_was(tmp_path):
    _, _, made = pasted()
    write_clip(tmp_path, made)
    truth = open_dataset(f"asd:{tmp_path}").video("made").truth
    found = {track.id: track for track in truth.tracks}
    for track in made.clip.tracks:
        assert found[track.id].category == track.category
        assert found[track.id].amodal == track.amodal and found[track.id].visible == track.visible
