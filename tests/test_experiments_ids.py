"""The table of re-association, on a made-up data set."""

import json

from PIL import Image

from made_up import image_of, post, square
from samodal.cli.app import main
from samodal.data.asd import write_frame
from samodal.data.dataset import InstanceTruth
from samodal.rle import Rle

FRAMES, STEP = 20, 4


def test_ids_are_counted_with_and_without_re_association(tmp_path, capsys):
    images = tmp_path / "images" / "front" / "hidden"
    images.mkdir(parents=True)
    for t in range(FRAMES):
        car = square(10 + STEP * t)
        visible = car & ~post()
        Image.fromarray(image_of(t, car, post())).save(images / f"front_full_{t:04d}_rgb.png")
        shown = Rle.encode(visible) if visible.any() else None
        truth = [InstanceTruth(7, "car", Rle.encode(car), shown)]
        write_frame(tmp_path / "amodal_instance_seg" / "front" / "hidden", t, truth, car.shape)
    page = tmp_path / "ids.yaml"
    page.write_text(
        "base: reassociation\ntitle: T\nfront_ends: {new ids: {vis: 'degraded:new-ids'}}\n"
        "rows: {as reported: {method: copy-visible}, repaired: {method: copy-visible, reassociate: true}}\n"
    )
    command = ["experiments", str(page), "--data", f"streetsim:{tmp_path}", "--out", str(tmp_path / "out")]
    assert main([*command, "--workers", "1", "--seeds", "1", "--device", "cpu"]) == 0
    off, on = (
        {head: value["mean"] for head, value in row["columns"].items()}
        for row in json.loads((tmp_path / "out" / "ids.json").read_text(encoding="utf-8"))["table"]
    )
    assert (off["id switches"], off["gaps"], off["old id again"]) == (1, 1, 0)
    assert (on["id switches"], on["old id again"], on["HOTA"], on["IDF1"]) == (0, 100, 100, 100)
    assert "| repaired | 0 | 0 | 1 | 100.0 |" in capsys.readouterr().out
