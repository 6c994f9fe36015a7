"""Weights of others: what is at hand, what `--vis best` takes of it, and how they are fetched."""

import hashlib
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import samodal
from samodal.checkpoints.hub import cached
from samodal.checkpoints.published import HUB, MODEL, about, verified
from samodal.cli.app import main
from samodal.frontends import best
from samodal.frontends.best import chosen
from samodal.registry import FRONT_ENDS, Part
from samodal.tracks import VisibleInstance
from test_frontends_segmenters import mask2former
from test_shipped import PACKAGE

REVISION = "0123456789abcdef0123456789abcdef01234567"
LARGE, SMALL, TINY = (f"facebook/mask2former-swin-{size}-cityscapes-instance" for size in ("large", "small", "tiny"))
RF_DETR, SAM3, SAM2 = "Roboflow/rf-detr-seg-medium", "facebook/sam3", "facebook/sam2.1-hiera-tiny"


class Left:
    """Stands for the embedded detector: a square at the left."""

    def open(self, video):
        return self

    def step(self, frame, t):
        mask = np.zeros(frame.shape[:2], bool)
        mask[5:30, 5:30] = True
        return [VisibleInstance(1, "car", 1.0, mask)]

    def reset(self):
        pass


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub, which cannot be asked; and an embedded detector."""
    folder = tmp_path / "cache"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setitem(FRONT_ENDS, "detector", Part(f"{__name__}:Left", "a square"))
    return folder


def put(cache, name, files=("config.json", "model.safetensors")):
    """The folder of a hub name in the cache, with files of a few bytes."""
    repository = cache / f"models--{name.replace('/', '--')}"
    folder = repository / "snapshots" / REVISION
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(REVISION)
    for file in files:
        (folder / file).write_text("{}")
    return folder


def test_a_model_is_at_hand_where_all_its_files_are(cache):
    assert cached(TINY, MODEL) is None
    folder = put(cache, TINY, ["config.json"])
    assert cached(TINY, MODEL) is None
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "1.safetensors", "b": "2"}}))
    (folder / "1.safetensors").touch()
    assert cached(TINY, MODEL) is None
    (folder / "2").touch()
    assert cached(TINY, MODEL) == folder
    for damaged in ("{", "[]", '{"weight_map": 3}', '{"weight_map": {"a": 3}}'):
        (folder / "model.safetensors.index.json").write_text(damaged)
        assert cached(TINY, MODEL) is None
    assert cached("facebook/cotracker3", ("scaled_online.pth",)) is None
    folder = put(cache, "facebook/cotracker3", ["scaled_online.pth"])
    assert cached("facebook/cotracker3", ("scaled_online.pth",)) == folder


def test_best_takes_the_first_of_the_table_that_is_at_hand_and_says_why(cache):
    put(cache, SAM2)  # finds nothing by itself
    assert chosen("cpu").vis == "detector"
    assert chosen("cpu").reason.startswith("--vis best: the embedded detector, as no public model")
    rf_detr = put(cache, RF_DETR)
    assert chosen("cpu").vis == f"rf_detr:{rf_detr}"
    small = put(cache, SMALL)
    found = chosen("cpu")
    assert found.vis == f"mask2former:{small}"
    assert found.reason == (
        f"--vis best: mask2former with {SMALL} of the hub's cache, taught on pictures from cars, riders told from "
        "persons"
    )
    sam3 = put(cache, SAM3)
    assert chosen("cuda:1").vis == f"sam3_video:{sam3}"


def test_best_passes_by_what_cannot_run_here_and_says_so(cache, monkeypatch):
    put(cache, LARGE)
    put(cache, RF_DETR)
    monkeypatch.setattr(best, "version", lambda package: "5.17.0")
    found = chosen("cpu")
    assert found.vis == "detector"
    assert f"{LARGE} needs a GPU; {RF_DETR} needs transformers 5.23, here is 5.17.0" in found.reason
    assert chosen("cuda").vis.startswith("mask2former:")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache.parent / "a,b"))
    put(cache.parent / "a,b", TINY)
    assert f"{TINY} lies in a folder with a comma in its name" in chosen("cpu").reason


def test_every_model_of_the_table_names_a_front_end_that_takes_it():
    ranked = [model for model in HUB.values() if model.why]
    assert {model.front_end for model in ranked} == {"mask2former", "rf_detr", "sam3_video"}
    assert all(model.licence and model.megabytes and "NAME" in model.use for model in HUB.values())


def test_the_documentation_has_the_models_in_the_order_in_which_best_looks_for_them():
    page = (Path(__file__).parents[1] / "docs" / "real-video.md").read_text(encoding="utf-8")
    printed = page.partition("<!-- what best takes -->\n")[2].partition("<!-- so far -->")[0].splitlines()[2:]
    expected = []
    for name, model in HUB.items():
        runs = "on a GPU" if model.gpu else "anywhere"
        runs += ", transformers 5.23" if model.transformers == (5, 23) else ""
        expected += [f"| `{name}` | {runs} | {model.why} |"] if model.why else []
    assert printed == expected


def test_results_name_the_model_that_best_came_to_and_another_one_is_another_run(cache, tmp_path, capsys):
    (tmp_path / "drive").mkdir()
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "drive" / "0.png")
    out = tmp_path / "out"
    command = ["run", str(tmp_path / "drive"), "--vis", "best", "--method", "copy-visible", "--no-overlay"]
    command += ["--device", "cpu", "--out", str(out)]
    assert main(command) == 0
    assert "--vis best: the embedded detector" in capsys.readouterr().out
    assert json.loads((out / "run.json").read_text())["settings"]["vis"] == "detector"
    assert main(command) == 0  # the same again is done already
    torch.manual_seed(0)
    folder = put(cache, TINY, ())
    mask2former().save_pretrained(folder)
    capsys.readouterr()
    assert main(command) == 2
    assert f"vis was 'detector' and is 'mask2former:{folder}'" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0
    assert f"--vis best: mask2former with {TINY}" in capsys.readouterr().out
    record = json.loads((out / "run.json").read_text())
    assert record["settings"]["vis"] == f"mask2former:{folder}"
    assert record["inputs"][f"mask2former:{folder}"]["files"] == 2


def test_python_takes_best_too():
    tracker = samodal.load(vis="best", device="cpu")
    tracker.reset()
    assert tracker.step(np.zeros((40, 60, 3), np.uint8)).ids == [1]


def test_the_list_names_shipped_and_published_weights_and_what_is_at_hand(cache, capsys):
    put(cache, RF_DETR)
    assert main(["weights"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(path.stem in text for path in (PACKAGE / "weights").glob("*.safetensors"))
    assert all(f"{name} for {model.use} size about" in text and model.licence in text for name, model in HUB.items())
    assert f"Apache-2.0 at hand yes, revision {REVISION[:12]}" in text
    assert f"at hand no: samodal weights fetch {SAM3}" in text
    assert main(["weights", "--at-hand"]) == 0
    text = capsys.readouterr().out
    assert RF_DETR in text and "streetsim-small" in text and SAM3 not in text


def test_what_is_known_of_weights_is_told_by_name(cache, capsys):
    assert main(["weights", "info", "streets-detector"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# ") and "streets-detector.safetensors, " in text
    assert main(["weights", "info", RF_DETR]) == 0
    text = capsys.readouterr().out
    assert f"--vis rf_detr:{RF_DETR}" in text and f"no: samodal weights fetch {RF_DETR}" in text
    assert main(["weights", "info", "streets-detektor"]) == 2
    assert "did you mean 'streets-detector'" in capsys.readouterr().err
    assert main(["weights", "list", "--at-hand"]) == 0
    assert "streets-detector" in capsys.readouterr().out


def test_every_shipped_file_has_its_checksum_and_no_other_file_has():
    """`cd src/samodal/weights && sha256sum *.safetensors > SHA256SUMS` brings them up to date."""
    names = {line.split()[1] for line in (PACKAGE / "weights" / "SHA256SUMS").read_text().splitlines()}
    assert names == {path.name for path in (PACKAGE / "weights").glob("*.safetensors")}
    assert [fault for _, fault in verified() if fault] == []


def test_weights_that_have_changed_on_this_machine_are_found_without_a_network(cache, tmp_path, monkeypatch, capsys):
    assert main(["weights", "verify", "streets-cutter"]) == 0
    assert capsys.readouterr().out == "streets-cutter: unchanged\n"
    content = bytearray((PACKAGE / "weights" / "streets-cutter.safetensors").read_bytes())
    content[-9] ^= 1
    (tmp_path / "streets-cutter.safetensors").write_bytes(content)
    shutil.copy(PACKAGE / "weights" / "SHA256SUMS", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("samodal.checkpoints.files.SHIPPED", tmp_path)
        assert main(["weights", "verify", "streets-cutter"]) == 1
    assert "has changed since it was shipped" in capsys.readouterr().out
    assert main(["weights", "verify", RF_DETR]) == 2
    assert "is not at hand; samodal weights fetch" in capsys.readouterr().err
    folder = put(cache, RF_DETR)
    blob = tmp_path / hashlib.sha256(b"whole").hexdigest()
    blob.write_bytes(b"whole")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(blob)
    assert main(["weights", "verify", RF_DETR]) == 0
    blob.write_bytes(b"hole")
    assert main(["weights", "verify", RF_DETR]) == 1
    assert "model.safetensors is not what was fetched" in capsys.readouterr().out


def test_shipped_weights_are_told_by_the_first_sentence_of_their_card(tmp_path):
    (tmp_path / "a.md").write_text("# a\n\n**For a try.** A net of 1.5 M\nparameters: it sees. More.\n\nMore.")
    assert about(tmp_path / "a.safetensors") == "A net of 1.5 M parameters"
    assert about(tmp_path / "b.safetensors") == ""


class Hub:
    """A hub that states a file of a name and gives it."""

    def __init__(self, cache, content="{}", revision=REVISION):
        self.cache, self.content, self.revision = cache, content, revision

    def model_info(self, name, files_metadata):
        lfs = SimpleNamespace(sha256=hashlib.sha256(self.content.encode()).hexdigest())
        files = [("config.json", 2, None), ("model.safetensors", 5_000_000, lfs), ("old.bin", 9_000_000, lfs)]
        siblings = [SimpleNamespace(rfilename=file, size=size, lfs=lfs) for file, size, lfs in files]
        return SimpleNamespace(siblings=siblings, sha=self.revision)

    def download(self, name, allow_patterns):
        assert allow_patterns == list(MODEL)
        return str(put(self.cache, name))


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({}, 0, ""),
        ({"content": "other"}, 2, "model.safetensors: not what the hub states .its SHA-256 differs"),
        ({"revision": "f" * 40}, 2, f"fetched revision {REVISION}, the hub stated {'f' * 40}"),
    ],
)
def test_fetching_says_size_and_licence_before_and_checks_what_came(cache, monkeypatch, capsys, changes, code, message):
    hub = Hub(cache, **changes)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub.download)
    assert main(["weights", "fetch", RF_DETR]) == code
    out, errors = capsys.readouterr()
    assert out.startswith(f"{RF_DETR}: 5 MB, licence: Apache-2.0; revision {hub.revision}\n")
    assert re.search(message, errors)
    assert (f"at hand, its checksums are right: {cache}" in out) == (code == 0)
    assert (f"use it with --vis rf_detr:{RF_DETR}" in out) == (code == 0)


def test_what_cannot_be_fetched_is_one_sentence(cache, capsys):
    assert main(["weights", "fetch", "Roboflow/rf-detr-seg-mediun"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"no weights of the name 'Roboflow/rf-detr-seg-mediun'; did you mean {RF_DETR!r}?" in line
    assert main(["weights", "fetch", RF_DETR]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"samodal weights fetch: {RF_DETR}: ") and line.endswith("; is there a network?")
    assert main(["weights", "fetch", "streetsim-small"]) == 0
    assert "streetsim-small comes with samodal" in capsys.readouterr().out


def test_a_gated_model_says_where_its_licence_is_accepted(monkeypatch, capsys):
    from huggingface_hub.errors import GatedRepoError

    def gated(*_, **__):
        raise GatedRepoError("403", response=SimpleNamespace(headers={}, request=None, status_code=403))

    monkeypatch.setattr("huggingface_hub.HfApi", lambda: SimpleNamespace(model_info=gated))
    assert main(["weights", "fetch", SAM3]) == 2
    assert "gated: accept its licence (SAM License" in capsys.readouterr().err
