"""Forward flow and point tracks of StreetSim against projections worked out by hand."""

import dataclasses

import cv2
import numpy as np
import pytest

from samodal.sim import splits
from samodal.sim.flow import write_flow
from samodal.sim.layout import scene as lay_out
from samodal.sim.motion import POINTS, SCENERY, SCENERY_FRAMES, forward_flow, point_tracks
from samodal.sim.stage import Stage
from samodal.sim.truth import annotate
from samodal.sim.write import write_split
from test_sim import SMALL, _scene


@pytest.fixture
def stage_of():
    stages = []

    def make(scene, size=SMALL):
        stages.append(Stage(scene, size))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


def test_the_triangles_belong_to_the_instances_of_the_id_pass(stage_of):
    stage = stage_of(lay_out("train_0000_day"))
    for t in (0, 3):
        owners = np.append(stage.owners(), 0)
        assert np.array_equal(owners[stage.triangles(t)], stage.ids(t).T)


def test_flow_of_a_face_that_comes_nearer_and_moves_aside(stage_of):
    scene = _scene((0.0, 10.25, 4.0, 2.0))
    scene.actors[0].track[1] = 0.5, 8.25, 0.0, 0.0
    flow, valid = forward_flow(stage_of(scene), 0)
    focal, y, x = 0.75 * SMALL[1], 130, 250
    assert valid[y, x] and not valid[2, 2], "the sky has no flow"
    for axis, pixel, middle, moved in ((0, x, (SMALL[1] - 1) / 2, 0.5), (1, y, (SMALL[0] - 1) / 2, 0.0)):
        place = (pixel - middle) / focal * 10.0
        assert flow[y, x, axis] == pytest.approx((place + moved) / 8.0 * focal + middle - pixel, abs=1e-3)


def test_nothing_flows_when_nothing_moves(stage_of):
    flow, valid = forward_flow(stage_of(_scene((1.0, 9.0, 2.0, 1.0))), 0)
    assert valid.any() and abs(flow[valid]).max() < 1e-6


def test_points_stay_on_their_instance_and_are_hidden_with_it(stage_of):
    scene = _scene((0.0, 8.25, 4.0, 2.5), (5.0, 14.25, 1.8, 1.6))
    scene.actors[1].track[1, 0] = 0.2
    stage = stage_of(scene)
    tracks = point_tracks(stage, annotate(stage))
    street = SCENERY_FRAMES * SCENERY
    assert tracks.xy.shape == (street + 2 * POINTS, 2, 2)
    assert tracks.ids.tolist() == [0] * street + [1] * POINTS + [2] * POINTS
    near, far = slice(street, street + POINTS), slice(street + POINTS, None)
    assert tracks.visible[near].mean() > 0.95 and tracks.visible[far, 0].mean() > 0.95
    assert not tracks.visible[far, 1].any()
    assert np.allclose(tracks.xy[near, 0], tracks.xy[near, 1])
    moved = tracks.xy[far, 1] - tracks.xy[far, 0]
    assert np.allclose(moved[:, 0], -4.8 / 14.25 * 0.75 * SMALL[1], rtol=0.03) and abs(moved[:, 1]).max() < 0.1


def test_points_on_walkers_lie_on_visible_pixels_of_the_walker(stage_of):
    stage = stage_of(lay_out(splits.sequences("train")[10]))
    truth = annotate(stage)
    tracks = point_tracks(stage, truth)
    assert tracks.ids.any()
    for t, frame in enumerate(truth):
        masks = {instance.id: instance.visible.decode() for instance in frame if instance.visible is not None}
        for n in np.nonzero(tracks.visible[:, t] & (tracks.ids > 0))[0]:
            x, y = np.rint(tracks.xy[n, t]).astype(int)
            assert masks[tracks.ids[n]][y, x]


def test_a_street_without_instances_has_points_on_its_houses_alone(stage_of):
    stage = stage_of(dataclasses.replace(_scene(), actors=()))
    tracks = point_tracks(stage, annotate(stage))
    assert tracks.ids.tolist() == [0] * (SCENERY_FRAMES * SCENERY)
    assert tracks.visible.mean() > 0.9 and abs(tracks.xy[:, 0] - tracks.xy[:, 1]).max() < 1e-3, "nothing moves"


def test_flow_files_are_read_back_as_amodalsynthdrive_codes_them(tmp_path):
    rng = np.random.default_rng(0)
    flow, valid = rng.uniform(-300, 300, (12, 17, 2)), rng.random((12, 17)) < 0.8
    flow[0, 0], valid[0, 0] = (4000.0, 0.0), True
    write_flow(tmp_path / "a.png", flow, valid)
    pixels = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert pixels.dtype == np.uint16
    decoded = pixels[..., 2:0:-1] / 65535 * (695 + 1687) - 1687
    valid[0, 0] = False
    assert np.array_equal(pixels[..., 0] > 0, valid) and abs(decoded - flow)[valid].max() < 0.02


def test_side_files_are_written_on_demand_also_afterwards(tmp_path):
    write_split(tmp_path, "train", count=1, size=(108, 192))
    assert not (tmp_path / "train" / "flow").exists()
    write_split(tmp_path, "train", count=1, size=(108, 192), flow=True, points=True)
    flows = sorted(path.name for path in (tmp_path / "train" / "flow").rglob("*.png"))
    assert flows == [f"front_full_{t:04d}_flow.png" for t in range(3)]
    points = np.load(tmp_path / "train" / "points" / "front" / "train_0000_day.npz")
    assert points["xy"].shape[1:] == (4, 2) and points["visible"].shape == points["xy"].shape[:2]
