"""CoTracker3: the released outputs on stand-in weights, its checkpoints, and its small sister."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from samodal.errors import InputError
from samodal.trackers.cotracker import CoTracker3, tracker, weights
from samodal.trackers.cotracker import model as model_module
from samodal.trackers.cotracker.config import OFFLINE, ONLINE, SMALL, CoTrackerConfig
from samodal.trackers.cotracker.features import gather_squares, interpolate
from samodal.trackers.cotracker.model import Estimate, Network
from tiny_cotracker import TINY, noise, tiny

GOLDEN = Path(__file__).parent / "golden"
sys.path.insert(0, str(GOLDEN))
from fill import fill, load_keys  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def expected(name: str) -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / f"cotracker3_{name}_expected.npz"))


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> dict[str, CoTracker3]:
    """Online and offline model from one checkpoint: their names, shapes and stand-in values are the same."""
    values = fill(load_keys("cotracker3_online"), {"flow_head": 0.1, "vis_conf_head": 0.03})
    path = tmp_path_factory.mktemp("released") / "stand_in.pth"
    torch.save({name: torch.from_numpy(value) for name, value in values.items()}, path)
    models = {"online": CoTracker3.from_checkpoint(path), "offline": CoTracker3.from_checkpoint(path, online=False)}
    path.unlink()  # 100 MB
    return models


@pytest.fixture(scope="module")
def maps(released) -> list[torch.Tensor]:
    """Feature maps of the golden video, the same for both models: most of the time is theirs."""
    assert np.array_equal(expected("online")["video"], expected("offline")["video"])
    with torch.inference_mode():
        return released["online"].encode(expected("online")["video"])


@pytest.mark.parametrize("kind", ["online", "offline"])
def test_the_released_outputs_are_reproduced(released, maps, kind):
    wanted = expected(kind)
    with torch.inference_mode():
        found = released[kind].follow_encoded(maps, wanted["video"].shape[1:3], wanted["queries_txy"])
    np.testing.assert_allclose(found.xy, wanted["tracks_xy"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(found.visibility, wanted["visibility_probability"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.confidence, wanted["confidence_probability"], rtol=0, atol=1e-5)
    assert np.array_equal(found.visible, wanted["visible"])


@pytest.mark.parametrize(("config", "name"), [(ONLINE, "cotracker3_online"), (OFFLINE, "cotracker3_offline")])
def test_parameters_have_the_released_names_and_shapes(config, name):
    with torch.device("meta"):
        network = Network(config)
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == load_keys(name)


def test_squares_are_those_of_grid_sample():
    level, radius = torch.randn(2, 9, 11, 4), 3
    xy = torch.tensor([[[4.3, 5.9], [-2.5, 3.0]], [[10.7, 8.2], [1e9, -40.0]]])  # inside, and beyond each border
    found = interpolate(*gather_squares(level, xy, radius))
    steps = torch.arange(-radius, radius + 1.0)
    places = xy.clamp(-1e6, 1e6)[:, :, None, None] + torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1)
    grid = 2 * places.flatten(2, 3) / torch.tensor([10.0, 8.0]) - 1
    wanted = F.grid_sample(level.permute(0, 3, 1, 2), grid, padding_mode="border", align_corners=True)
    torch.testing.assert_close(found.flatten(2, 3), wanted.permute(0, 2, 3, 1), rtol=0, atol=1e-5)


def test_padding_and_the_other_items_of_a_batch_change_no_point():
    network = tiny().network.double()
    with torch.inference_mode():
        levels = network.pyramid(network.pixels(noise(8)).double())
        xy = torch.rand(2, 5, 2, dtype=torch.float64) * 10
        support = [network.support(levels, torch.zeros(5, dtype=torch.long), points) for points in xy]

        def run(items, points, real=None):
            parts = [torch.stack([support[i][n][:points] for i in items]) for n in range(len(levels))]
            start = xy[items, None, :points].expand(-1, 8, -1, -1)
            return network.refine(levels, parts, Estimate(start, start[..., 0] * 0, start[..., 0] * 0), 3, real)[-1].xy

        alone = run([0], 3)[0]
        real = torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
        padded = run([0, 1], 5, real)[0, :, :3]
        swapped = run([1, 0], 5, real.flip(0))[1, :, :3]
    assert (alone - xy[0, :3]).abs().max() > 0.01
    torch.testing.assert_close(padded, alone, rtol=0, atol=1e-9)
    torch.testing.assert_close(swapped, alone, rtol=0, atol=1e-9)


def test_correlations_read_in_chunks_are_the_same(monkeypatch):
    model, video = tiny(), noise(10)
    queries = np.random.default_rng(1).uniform(0, 39, (7, 3)) * [0, 1, 1]
    whole = model.follow(video, queries)
    monkeypatch.setattr(model_module, "CHUNK", 16)
    np.testing.assert_allclose(model.follow(video, queries).xy, whole.xy, rtol=0, atol=1e-4)


def test_more_points_than_fit_are_followed_in_blocks(monkeypatch):
    model, video = tiny(), noise(3)
    queries = np.array([[0, 5, 6], [1, 20, 30], [2, 50, 9]], np.float32)
    monkeypatch.setattr(tracker, "MOST_POINTS", 2)
    xy, visible = model.track(video, queries)
    assert xy.shape == (3, 3, 2) and visible.shape == (3, 3)
    np.testing.assert_allclose(xy[:, 2:], model.track(video, queries[2:])[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize(("frames", "size"), [(1, (40, 60)), (5, (17, 33)), (13, (40, 61))])
def test_videos_of_any_length_and_size_are_followed(online, frames, size):
    model = tiny(config=replace(TINY, online=online))
    found = model.follow(noise(frames, *size), [[0, 3, 4], [frames - 1, 16, 8]])
    assert found.xy.shape == (frames, 2, 2) and found.xy.dtype == np.float32
    assert np.isfinite(found.xy).all()
    assert ((found.visibility > 0) & (found.visibility < 1)).all()
    assert ((found.confidence > 0) & (found.confidence < 1)).all()


def test_a_video_without_queries_has_no_tracks():
    xy, visible = tiny().track(noise(3), np.zeros((0, 3)))
    assert xy.shape == (3, 0, 2) and visible.shape == (3, 0)


def test_the_offline_model_leaves_a_point_where_it_was_shown():
    xy, visible = tiny(config=replace(TINY, online=False)).track(noise(6), [[0, 3.25, 4.5], [4, 16, 8]])
    assert xy[0, 0].tolist() == [3.25, 4.5] and xy[4, 1].tolist() == [16, 8]
    assert visible[0, 0] and visible[4, 1]


@pytest.mark.parametrize("query", [[3, 1, 1], [-1, 1, 1], [0, np.nan, 1]])
def test_a_query_in_no_frame_is_refused(query):
    with pytest.raises(InputError, match="query 1 .* none of the 3 frames"):
        tiny().track(noise(3), [[0, 1, 1], query])


def test_arrays_of_other_shapes_are_refused():
    with pytest.raises(InputError, match=r"queries are \(N, 3\).*\(1, 2\)"):
        tiny().track(noise(3), [[1, 1]])
    with pytest.raises(InputError, match="uint8"):
        tiny().track(noise(3).astype(np.float32), [[0, 1, 1]])


def test_the_small_model_is_small_and_starts_with_small_steps():
    model = CoTracker3.untrained()
    assert sum(p.numel() for p in model.network.parameters()) <= 4e6
    xy, _ = model.track(noise(2, 64, 96), [[0, 30, 20]])
    assert 0 < np.abs(xy - [30, 20]).max() < 3


def test_every_parameter_learns():
    network = tiny().network.train()
    levels = network.pyramid(network.pixels(noise(8)))
    xy = torch.rand(1, 3, 2) * 8
    support = [level[None] for level in network.support(levels, torch.tensor([0, 2, 2]), xy[0])]
    start = Estimate(xy[:, None].expand(-1, 8, -1, -1), torch.zeros(1, 8, 3), torch.zeros(1, 8, 3))
    last = network.refine(levels, support, start, 2)[-1]
    (last.xy.sum() + last.visibility.sum() + last.confidence.sum()).backward()
    still = {n for n, p in network.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-5}
    # A bias before an instance norm, as all of fnet but the last, is taken away again.
    biases = {n for n, _ in network.named_parameters() if n.startswith("fnet.") and n.endswith("bias")}
    assert still == biases - {"fnet.conv3.bias"}


def test_one_clip_can_be_learnt_by_heart():
    torch.manual_seed(0)
    network = tiny().network.train()
    picture = F.interpolate(torch.rand(1, 3, 12, 16), (60, 80), mode="bicubic")[0] * 2 - 1
    pixels = torch.stack([picture[:, 20 - t : 52 - t, 24 - 2 * t : 72 - 2 * t] for t in range(8)])
    start = torch.rand(6, 2) * torch.tensor([4.0, 4.0]) + 2
    truth = start + torch.arange(8)[:, None, None] * torch.tensor([2.0, 1.0]) / TINY.stride  # (8, 6, 2) cells
    known = Estimate(start.expand(1, 8, -1, -1), torch.zeros(1, 8, 6), torch.zeros(1, 8, 6))
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    errors = []
    for _ in range(60):
        levels = network.pyramid(pixels)
        support = [level[None] for level in network.support(levels, torch.zeros(6, dtype=torch.long), start)]
        loss = sum((estimate.xy - truth).abs().mean() for estimate in network.refine(levels, support, known, 3)) / 3
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(loss.item())
    assert errors[-1] < errors[0] / 4


def saved(path: Path, **changes) -> Path:
    """A small model's parameters as a .pth; changes add, or with None take away."""
    state = CoTracker3.untrained().network.state_dict() | changes
    torch.save({name: value for name, value in state.items() if value is not None}, path)
    return path


def test_a_wrapped_state_and_its_time_embedding_are_read(tmp_path):
    state = torch.load(saved(tmp_path / "a.pth", time_emb=torch.zeros(1, 12, 230)), weights_only=True)
    torch.save({"model": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "b.pth")
    network = weights.load(tmp_path / "b.pth", SMALL)
    assert torch.equal(network.corr_mlp.fc1.weight, state["corr_mlp.fc1.weight"])


@pytest.mark.parametrize(
    ("name", "changes", "found"),
    [
        ("scaled_offline.pth", {}, "offline by its name; load it with online=False"),
        ("a.pth", {"time_emb": torch.zeros(1, 60, 230)}, "CoTracker3 of window 60"),
        ("a.pth", {"corr_mlp.fc1.bias": None, "vis_predictor.0.weight": torch.zeros(1)}, "CoTracker v2"),
        ("a.pth", {"corr_mlp.fc1.bias": None, "updateformer.space_blocks.0.a": torch.zeros(1)}, "CoTracker v1"),
        ("a.pth", {"corr_mlp.fc1.bias": None}, "1 parameters are missing, as corr_mlp.fc1.bias"),
        ("a.pth", {"odd": torch.zeros(1)}, "1 parameters are unknown, as odd"),
        ("a.pth", {"corr_mlp.fc1.bias": torch.zeros(3)}, r"another size: corr_mlp.fc1.bias is \(3,\), not \(96,\)"),
    ],
)
def test_another_checkpoint_is_refused_with_both_names(tmp_path, name, changes, found):
    with pytest.raises(InputError, match=rf"expected CoTracker3 online \(window 12\), found .*{found}"):
        weights.load(saved(tmp_path / name, **changes), SMALL)


def test_a_sam_is_told_from_a_tracker(tmp_path):
    torch.save({"image_encoder.pos_embed": torch.zeros(1)}, tmp_path / "sam.pth")
    with pytest.raises(InputError, match="found a SAM"):
        weights.load(tmp_path / "sam.pth", SMALL)
    save_file({"vision_encoder.pos_embed": torch.zeros(1)}, tmp_path / "sam.safetensors")
    with pytest.raises(InputError, match="found a SAM"):
        weights.load(tmp_path / "sam.safetensors", SMALL)


def test_files_that_are_no_weights_are_refused(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"a": TINY}, tmp_path / "code.pth")
    (tmp_path / "text.safetensors").write_text("hello")
    for name, message in (("list.pth", "found list"), ("code.pth", "holds code"), ("text.safetensors", "cut short")):
        with pytest.raises(InputError, match=message):
            weights.load(tmp_path / name, SMALL)
    with pytest.raises(InputError, match="no such checkpoint"):
        CoTracker3.from_checkpoint(tmp_path / "missing.pth")


def test_a_saved_model_knows_its_config(tmp_path):
    model = tiny()
    model.save(tmp_path / "a.safetensors")
    again = CoTracker3.from_checkpoint(tmp_path / "a.safetensors")
    assert again.config == TINY
    assert np.array_equal(again.track(noise(3), [[0, 5, 6]])[0], model.track(noise(3), [[0, 5, 6]])[0])


def test_a_small_model_takes_at_most_10_mb_in_16_bit(tmp_path):
    CoTracker3.untrained().save(tmp_path / "a.safetensors", half=True)
    assert (tmp_path / "a.safetensors").stat().st_size <= 10e6
    assert weights.load(tmp_path / "a.safetensors", SMALL).corr_mlp.fc1.weight.dtype == torch.float32
    with pytest.raises(InputError, match="ending"):
        CoTracker3.untrained().save(tmp_path / "a.pth")


def test_a_config_of_a_later_version_is_refused():
    assert CoTrackerConfig.from_dict(SMALL.to_dict()) == SMALL
    with pytest.raises(InputError, match="'colour'"):
        CoTrackerConfig.from_dict(SMALL.to_dict() | {"colour": 1})


def test_the_hub_is_asked_for_the_right_file_and_its_licence_is_told(tmp_path, monkeypatch):
    asked = []

    def download(*names):
        asked.append(names)
        return saved(tmp_path / names[1])

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.warns(UserWarning, match="CC-BY-NC"):
        weights.load("facebook/cotracker3", SMALL)
    with pytest.warns(UserWarning, match="CC-BY-NC"):
        weights.load("facebook/cotracker3", replace(SMALL, online=False))
    assert asked == [("facebook/cotracker3", "scaled_online.pth"), ("facebook/cotracker3", "scaled_offline.pth")]
