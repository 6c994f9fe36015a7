"""SAM 2 and SAM 3 for videos as front ends: small random models saved as folders, and outputs that are told."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from samodal.errors import InputError
from samodal.frontends import sam2_video, sam3_video, sam_video
from samodal.frontends.sam2_video import InstancePrompt, Sam2Video, read_prompts
from samodal.frontends.sam3_video import Sam3Video, mask_nms
from samodal.masks import Mask
from samodal.registry import FRONT_ENDS
from samodal.runner import run_video
from samodal.settings import RunSettings
from samodal.video import ArrayVideo
from tiny_sam_video import sam2_video as tiny_sam2
from tiny_sam_video import sam3_video as tiny_sam3

HEIGHT, WIDTH = 50, 90
FRAMES = np.random.default_rng(0).integers(0, 255, (5, HEIGHT, WIDTH, 3), np.uint8)
CAR = {"frame": 0, "id": 7, "category": "car", "points": [[20, 20], [30, 25]]}
PERSON = {"frame": 2, "id": "p", "category": "person", "box": [50, 10, 80, 45]}


@pytest.fixture(scope="module")
def sam2(tmp_path_factory):
    return tiny_sam2(tmp_path_factory.mktemp("sam2"))


@pytest.fixture(scope="module")
def sam3(tmp_path_factory):
    return tiny_sam3(tmp_path_factory.mktemp("sam3"))


@pytest.fixture
def prompts(tmp_path):
    def write(*entries):
        path = tmp_path / "prompts.json"
        path.write_text(json.dumps(entries))
        return path

    return write


def stepped(front_end, frames=FRAMES):
    session = front_end.open(ArrayVideo("drive", frames))
    return [session.step(frame, t) for t, frame in enumerate(frames)]


def told(results):
    """Results as values that can be compared."""
    return [
        [(instance.id, instance.category, instance.score, instance.mask.counts) for instance in frame]
        for frame in results
    ]


def sound(results, size=(HEIGHT, WIDTH)):
    """Masks have the frame's size, pixels, and none in common."""
    for frame in results:
        assert all(instance.mask.size == size and instance.mask for instance in frame)
        assert sum((instance.mask.decode().astype(int) for instance in frame), np.zeros(size, int)).max() <= 1


def test_sam2_follows_what_is_pointed_at_from_its_frame_on(sam2, prompts):
    results = stepped(Sam2Video(f"{sam2},{prompts(CAR, PERSON)},area=1"))
    sound(results)
    assert [[(instance.id, instance.category) for instance in frame] for frame in results[:2]] == [[(7, "car")]] * 2
    assert all([instance.id for instance in frame] == [7, "p"] for frame in results[2:])
    assert all(0 <= instance.score <= 1 for frame in results for instance in frame)


def test_sam2_knows_nothing_before_the_first_prompt(sam2, prompts):
    results = stepped(Sam2Video(f"{sam2},{prompts(PERSON)},area=1"))
    assert [len(frame) for frame in results] == [0, 0, 1, 1, 1]


def test_what_sam2_does_not_see_is_not_reported(tmp_path, prompts):
    unseen = tiny_sam2(tmp_path / "unseen", objects_are_seen=False)
    assert stepped(Sam2Video(f"{unseen},{prompts(CAR)},area=1")) == [[]] * 5


@pytest.mark.parametrize("length", [1, 3])
def test_results_up_to_a_frame_do_not_depend_on_later_ones(sam2, sam3, prompts, length):
    for front_end in (Sam2Video(f"{sam2},{prompts(CAR)},area=1"), Sam3Video(f"{sam3},car,person,score=0,area=1")):
        other = FRAMES.copy()
        other[length:] = 0
        first = told(stepped(front_end))
        assert first[0]
        assert told(stepped(front_end, other))[:length] == first[:length]


def test_a_reset_starts_the_video_again(sam2, sam3, prompts):
    for front_end in (Sam2Video(f"{sam2},{prompts(CAR)},area=1"), Sam3Video(f"{sam3},car,score=0,area=1")):
        session = front_end.open(ArrayVideo("drive", FRAMES))
        first = told([session.step(FRAMES[0], 0), session.step(FRAMES[1], 1)])
        session.reset()
        assert told([session.step(FRAMES[0], 0), session.step(FRAMES[1], 1)]) == first


LONG = np.random.default_rng(1).integers(0, 255, (20, 40, 40, 3), np.uint8)
"""More frames than the models look back."""


def offline(session, sam):
    """What transformers itself makes of each frame with the whole video at hand."""
    session.processed_frames = dict(enumerate(sam.pixels(frame)[0] for frame in LONG))
    return sam.model.propagate_in_video_iterator(session, start_frame_idx=0)


def test_sam2_gives_what_transformers_gives_with_the_whole_video(sam2, prompts):
    front_end = Sam2Video(f"{sam2},{prompts(CAR)},area=1")
    session = front_end.open(ArrayVideo("drive", LONG))
    session._prompt(front_end.prompts[0])
    expected = [
        sam_video.enlarged(out.pred_masks[0, 0], (40, 40)) > 0 for out in offline(session._session, front_end.loaded)
    ]
    found = stepped(front_end, LONG)
    assert len(found) == len(expected) == 20
    assert all(instance.mask == Mask.of(mask) for (instance,), mask in zip(found, expected, strict=True))


def test_sam3_gives_what_transformers_gives_with_the_whole_video(tmp_path):
    folder = tiny_sam3(tmp_path / "whole", hotstart_delay=0)
    front_end = Sam3Video(f"{folder},car,score=0,area=1")
    whole, stream = (front_end.open(ArrayVideo("drive", LONG)) for _ in range(2))
    for t, expected in enumerate(offline(whole._session, stream.sam)):
        found = stream.sam.model(stream._session, frame=stream.sam.pixels(LONG[t]), frame_idx=t)
        stream._forget(t)
        assert found.obj_id_to_mask.keys() == expected.obj_id_to_mask.keys() != set()
        for key, logits in expected.obj_id_to_mask.items():
            assert torch.equal(found.obj_id_to_mask[key], logits)


def test_what_is_forgotten_changes_no_result(sam2, sam3, prompts, monkeypatch):
    again = {**CAR, "frame": 1}

    def both():
        return [
            told(stepped(Sam2Video(f"{sam2},{prompts(CAR, again)},area=1"), LONG)),
            told(stepped(Sam3Video(f"{sam3},car,score=0,area=1"), LONG)),
        ]

    lean = both()
    for module in (sam2_video, sam3_video):
        monkeypatch.setattr(module, "forget", lambda *_: None)
    monkeypatch.setattr(sam3_video.Sam3VideoSession, "_forget", lambda *_: None)
    assert both() == lean


def test_a_long_video_is_not_kept(sam2, sam3, prompts):
    for front_end in (Sam2Video(f"{sam2},{prompts(CAR)}"), Sam3Video(f"{sam3},car")):
        session = front_end.open(ArrayVideo("drive", LONG))
        for t, frame in enumerate(LONG):
            session.step(frame, t)
        kept = session._session
        assert all(pixels is None for pixels in kept.processed_frames.values())
        assert len(kept.output_dict_per_obj) > 0
        for outputs in kept.output_dict_per_obj.values():
            assert len(outputs["non_cond_frame_outputs"]) <= 16
            assert all("high_res_masks" not in out for out in outputs["non_cond_frame_outputs"].values())


def test_the_newest_conditioning_frames_keep_their_memories():
    outs = {t: {"maskmem_features": 1, "maskmem_pos_enc": 1, "object_pointer": 1} for t in (0, 4, 8, 60)}
    session = SimpleNamespace(
        processed_frames={}, output_dict_per_obj={0: {"non_cond_frame_outputs": {}, "cond_frame_outputs": outs}}
    )
    config = SimpleNamespace(num_maskmem=7, max_object_pointers_in_encoder=16, max_cond_frame_num=2)
    sam_video.forget(session, config, 64)
    assert [len(out) for out in outs.values()] == [1, 1, 3, 3]
    config.max_cond_frame_num = -1
    sam_video.forget(session, config, 64)
    assert len(outs[8]) == 3


def test_sam3_keeps_ids_and_the_word_is_the_category(sam3):
    results = stepped(Sam3Video(f"{sam3},car,person,score=0,area=1"))
    sound(results)
    category = {}
    for frame in results:
        assert frame
        for instance in frame:
            assert instance.category in ("car", "person") and 0 <= instance.score <= 1
            assert category.setdefault(instance.id, instance.category) == instance.category
    assert {instance.id for instance in results[4]} & {instance.id for instance in results[1]}


def test_sam3_looks_for_road_users_where_it_is_not_told_what_for(sam3):
    assert Sam3Video(f"{sam3},score=0.2").words == (
        "person", "rider", "car", "truck", "bus", "motorcycle", "bicycle",
    )  # fmt: skip
    assert Sam3Video(f"{sam3},traffic light,car,car").words == ("traffic light", "car")


def told_by_sam3(masks, trackers, scores=(0.9, 0.9), suppressed=()):
    """What is reported of (1, 4, 8) logits and tracker scores for the ids 0 and 1, a car and a person."""
    session = SimpleNamespace(
        limits=sam3_video.Limits(area=1),
        _session=SimpleNamespace(prompts={0: "car", 1: "person"}, obj_id_to_prompt_id={0: 0, 1: 1}),
    )
    output = SimpleNamespace(
        obj_id_to_mask={n: torch.tensor(mask)[None] for n, mask in enumerate(masks)},
        obj_id_to_score=dict(enumerate(scores)), obj_id_to_tracker_score=dict(enumerate(trackers)),
        suppressed_obj_ids=set(suppressed),
    )  # fmt: skip
    found = sam3_video.Sam3VideoSession._report(session, output, (4, 8))
    return [(instance.id, instance.category, instance.score, instance.mask.area) for instance in found]


def block(left: int, right: int) -> np.ndarray:
    made = np.full((4, 8), -20.0)
    made[:, left:right] = 20
    return made


def test_a_pixel_goes_to_the_instance_that_the_tracker_is_surest_of():
    assert told_by_sam3([block(0, 4), block(3, 8)], [0.5, 0.8]) == [(1, "person", 0.9, 20), (0, "car", 0.9, 12)]


def test_one_thing_under_two_words_is_one_instance():
    assert told_by_sam3([block(0, 4), block(0, 4)], [0.8, 0.5]) == [(0, "car", 0.9, 16)]


def test_what_sam3_suppresses_or_began_unsure_is_not_reported():
    masks = [block(0, 4), block(4, 8)]
    assert told_by_sam3(masks, [0.8, 0.8], suppressed=[0]) == [(1, "person", 0.9, 16)]
    assert told_by_sam3(masks, [0.8, 0.8], scores=(0.9, 0.4)) == [(0, "car", 0.9, 16)]


def test_duplicates_among_detections_are_left_out_best_first():
    masks = torch.tensor(np.stack([block(0, 4), block(0, 5), block(5, 8), block(0, 8)])) > 0
    assert mask_nms(masks, torch.tensor([0.6, 0.9, 0.7, 0.5]), 0.5).tolist() == [1, 2]
    assert mask_nms(masks, torch.tensor([0.6, 0.9, 0.7, 0.5]), 0.9).tolist() == [0, 1, 2, 3]
    assert mask_nms(masks[:0], torch.zeros(0), 0.5).tolist() == []


def test_the_model_itself_leaves_duplicates_out(tmp_path):
    counts = [
        len(stepped_objects(tiny_sam3(tmp_path / str(limit), det_nms_thresh=limit))) for limit in (0.0, 0.001, 1.0)
    ]
    assert counts[0] == counts[2] == 4  # its queries
    assert counts[1] < 4


def stepped_objects(folder):
    session = Sam3Video(f"{folder},car,score=0").open(ArrayVideo("drive", FRAMES))
    session.step(FRAMES[0], 0)
    return session._session.obj_ids


def test_points_and_boxes_come_in_original_pixels_at_any_scale_of_the_frame(sam2, prompts):
    front_end = Sam2Video(f"{sam2},{prompts({**PERSON, 'frame': 0, 'points': [[60, 20]], 'labels': [0]})}")
    session = front_end.open(ArrayVideo("drive", FRAMES))
    session.step(FRAMES[0, ::2, ::2], 0)
    given = session._session.point_inputs_per_obj[0][0]
    scale = np.array([64 / WIDTH, 64 / HEIGHT])
    assert given["point_coords"][0, 0].numpy() == pytest.approx(np.array([[50, 10], [80, 45], [60, 20]]) * scale)
    assert given["point_labels"].tolist() == [[[2, 3, 0]]]


def test_both_run_to_the_end_the_same_twice(sam2, sam3, prompts, tmp_path):
    video = ArrayVideo("drive", FRAMES[:3])
    for vis in (f"sam2_video:{sam2},{prompts(CAR)}", f"sam3_video:{sam3},car,score=0,area=1"):
        settings = RunSettings(vis=vis, method="copy-visible", device="cpu", overlay=False)
        name = vis.partition(":")[0]
        for n in (1, 2):
            assert run_video(settings, video, tmp_path / f"{name}{n}").frames == 3
        first, two = (tmp_path / f"{name}{n}" / "frames.jsonl" for n in (1, 2))
        assert first.read_bytes() == two.read_bytes()


def test_prompts_are_read(prompts):
    prompt = {"frame": 3, "id": 1, "category": "bus", "point": [4, 5]}
    assert read_prompts(prompts(prompt)) == [InstancePrompt(3, 1, "bus", ((4.0, 5.0),), (1,))]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (5, "prompt 0: expected an object, got 5"), ({**CAR, "boxes": []}, "unknown key 'boxes'; did you mean 'box'"),
        ({**CAR, "frame": -1}, "frame must be an index from 0"), ({**CAR, "id": None}, "id must be"),
        ({**CAR, "category": ""}, "category must be"), ({**CAR, "point": [1, 2]}, "exclude each other"),
        ({**CAR, "points": [[1]]}, r"points must be a list of \[x, y\]"), ({**CAR, "points": 3}, "points must be"),
        ({**CAR, "labels": [1]}, "0 or 1 for each of the 2 points"), ({**CAR, "labels": [0, 0]}, "needs a box or a"),
        ({"frame": 0, "id": 1, "category": "car"}, "needs a box or a point"), ({**CAR, "box": [5, 5, 2, 9]}, "x0 < x1"),
        ({**CAR, "points": [[float("nan"), 2]]}, "points must be"),
    ],
)  # fmt: skip
def test_a_wrong_prompt_is_named(entry, message, prompts):
    with pytest.raises(InputError, match=message):
        read_prompts(prompts(entry))


def test_prompts_must_agree_with_each_other(prompts):
    with pytest.raises(InputError, match="id 7 is a car and a bus"):
        read_prompts(prompts(CAR, {**CAR, "frame": 1, "category": "bus"}))
    with pytest.raises(InputError, match="id 7 has two prompts in frame 0"):
        read_prompts(prompts(CAR, CAR))
    with pytest.raises(InputError, match="expected a list of prompts"):
        read_prompts(prompts())


def test_prompts_must_lie_in_the_video(sam2, prompts):
    with pytest.raises(InputError, match="id 7 is in frame 5, but .* has 5 frames"):
        stepped(Sam2Video(f"{sam2},{prompts({**CAR, 'frame': 5})}"))
    with pytest.raises(InputError, match=r"id 7 is at \(95, 3\) in frame 0, outside the 90x50"):
        stepped(Sam2Video(f"{sam2},{prompts({**CAR, 'points': [[95, 3]]})}"))


def test_the_argument_is_checked(sam2, sam3, prompts, tmp_path):
    for kind, argument, message in [
        (Sam2Video, None, "sam2_video:facebook/sam2.1-hiera-tiny,prompts.json"),
        (Sam2Video, str(sam2), "needs one file of prompts, got 0"),
        (Sam2Video, f"{sam2},a.json,b.json", "got 2"),
        (Sam2Video, f"{sam2},{tmp_path / 'absent.json'}", "absent.json: no such file"),
        (Sam2Video, f"{sam2},{prompts(CAR)},scor=1", "did you mean 'score'"),
        (Sam3Video, None, "sam3_video:facebook/sam3,car,person"),
        (Sam3Video, f"{sam3},car,area=big", "area must be a number"),
        (Sam3Video, f"{sam3},car,", "a word between two commas is empty"),
        (Sam3Video, f"{sam3},{'car ' * 40}", "122 tokens long, SAM 3 reads 32"),
    ]:
        with pytest.raises(InputError, match=message):
            kind(argument)


def test_a_missing_or_other_checkpoint_says_what_is_expected(sam2, sam3, prompts, tmp_path):
    with pytest.raises(InputError, match="no such SAM 3 for videos; give a folder .* or a hub name as facebook/sam3"):
        Sam3Video(str(tmp_path / "absent" / "deeper"))
    with pytest.raises(InputError, match="no such SAM 2 for videos"):
        Sam2Video(f"{tmp_path}/absent/deeper,{prompts(CAR)}")
    with pytest.raises(InputError, match="found no config.json in it"):
        Sam3Video(str(tmp_path))
    with pytest.raises(
        InputError, match=r"expected a SAM 3 for videos \(model_type sam3_video\), found Sam2VideoModel"
    ):
        Sam3Video(str(sam2))
    with pytest.raises(InputError, match="expected a SAM 2 for videos .* found Sam3VideoModel"):
        Sam2Video(f"{sam3},{prompts(CAR)}")


def test_a_folder_without_a_tokenizer_says_so(tmp_path):
    folder = tiny_sam3(tmp_path / "bare")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(InputError, match="expected tokenizer.json beside the model"):
        Sam3Video(str(folder))


def test_a_gated_repository_tells_its_licence(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError

    def gated(name, file):
        raise GatedRepoError.__new__(GatedRepoError)  # its arguments differ between versions

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", gated)
    with pytest.raises(InputError, match=r"facebook/sam3: gated: accept its licence \(SAM License.*hf auth login"):
        Sam3Video("facebook/sam3")
    part = FRONT_ENDS["sam3_video"]
    assert "SAM License" in part.licence and "gated" in part.needs


@pytest.mark.parametrize("name", ["Sam2VideoModel", "Sam3VideoModel"])
def test_a_transformers_that_cannot_build_it_says_what_to_install(name, sam2, sam3, prompts, monkeypatch):
    import transformers

    def make():
        return Sam2Video(f"{sam2},{prompts(CAR)}") if name == "Sam2VideoModel" else Sam3Video(str(sam3))

    def needs_torchvision(*_, **__):
        raise ImportError("requires the torchvision library")

    for module in (sam2_video, sam3_video):
        module.loaded.forget()
    monkeypatch.setattr(transformers, name, SimpleNamespace(from_pretrained=needs_torchvision))
    with pytest.raises(InputError, match=r"cannot build its model; pip install 'transformers>=5.23,<6'"):
        make()
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(__version__="5.17.0"))
    with pytest.raises(
        InputError, match=r"transformers 5.17.0 cannot build its model; pip install 'transformers>=5.23,<6'"
    ):
        make()


def test_a_frame_too_large_for_memory_says_what_to_do(sam3, monkeypatch):
    session = Sam3Video(f"{sam3},car").open(ArrayVideo("drive", FRAMES))

    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    monkeypatch.setattr(type(session.sam.model), "forward", full)
    with pytest.raises(InputError, match=r"frame 0 of 90x50 \(width x height\) does not fit"):
        session.step(FRAMES[0], 0)
