"""Whole shapes from visible masks: literal pictures, "#" the instance, "o" its neighbour."""

import numpy as np
import pytest

from samodal.masks import Mask
from samodal.shapes import convex_hull, hull_front


def masks(*rows: str) -> tuple[Mask, Mask]:
    picture = np.array([list(row) for row in rows])
    return Mask.of(picture == "#"), Mask.of(picture == "o")


def rows(mask: Mask) -> list[str]:
    return ["".join(".#"[int(pixel)] for pixel in row) for row in mask.decode()]


NOTCHED = ("#######.", "#######.", "##ooo##.", "##ooo##.", "..ooo...")


def test_a_neighbour_in_front_is_filled_where_the_hull_is():
    mask, front = masks(*NOTCHED)
    assert rows(hull_front(mask, [front])) == ["#######."] * 4 + ["........"]


def test_nothing_is_added_over_a_neighbour_behind():
    front, behind = masks(*NOTCHED)[::-1]
    assert hull_front(front, [behind]) == front


def test_nothing_is_added_where_no_neighbour_is_though_the_hull_is_larger():
    mask, _ = masks(*NOTCHED)
    assert hull_front(mask, []) == mask
    assert rows(convex_hull(mask)) == ["#######."] * 4 + ["........"]


def test_a_neighbour_that_only_touches_changes_nothing():
    mask, beside = masks("####oo", "####oo", "####oo")
    assert hull_front(mask, [beside]) == mask


def test_of_two_that_reach_equally_far_into_each_other_the_lower_one_is_in_front():
    upper, lower = masks("#####", "#ooo#", "o###o", "ooooo")
    assert convex_hull(upper).overlap(lower) == convex_hull(lower).overlap(upper)
    assert hull_front(lower, [upper]) == lower and hull_front(upper, [lower]).area > upper.area


def test_only_the_part_of_a_front_neighbour_inside_the_hull_is_taken():
    mask, front = masks("#.o.#", "##o##", "##o##", "..o..")
    assert rows(hull_front(mask, [front])) == ["#.#.#", "#####", "#####", "....."]


@pytest.mark.parametrize("picture", [("#o",), ("#",), ("##",), ("###", "###")])
def test_masks_of_a_pixel_a_line_or_the_whole_frame_stay_as_they_are(picture):
    mask, other = masks(*picture)
    assert convex_hull(mask) == mask
    assert hull_front(mask, [other] if other else []) == mask


def test_an_overlapping_copy_of_the_instance_itself_adds_nothing():
    mask, _ = masks("##..", "####", "##..")
    assert hull_front(mask, [mask]) == mask
