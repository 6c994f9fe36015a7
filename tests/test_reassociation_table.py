"""The script of the table of re-association, on a made-up data set and made-up KITTI masks."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_up import image_of, passing_square, post, square
from samodal.data.asd import InstanceTruth, write_frame
from samodal.rle import Rle
from samodal.tracks import Clip, Track

FRAMES, STEP = 20, 4


@pytest.fixture
def table(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "scripts"))
    import reassociation_table

    return reassociation_table


@pytest.fixture
def data(tmp_path) -> str:
    """A clip of the square behind the post, and one in which it is never hidden."""
    for name, front in (("hidden", post()), ("open", np.zeros_like(post()))):
        images = tmp_path / "images" / "front" / name
        images.mkdir(parents=True)
        for t in range(FRAMES):
            car = square(10 + STEP * t)
            seen = car & ~front
            Image.fromarray(image_of(t, car, front)).save(images / f"front_full_{t:04d}_rgb.png")
            shown = Rle.encode(seen) if seen.any() else None
            truth = [InstanceTruth(7, "car", Rle.encode(car), shown)]
            write_frame(tmp_path / "amodal_instance_seg" / "front" / name, t, truth, car.shape)
    return f"streetsim:{tmp_path}"


@pytest.fixture
def kitti(tmp_path, monkeypatch, table) -> Path:
    """The square behind the post as KITTI MOTS text, with its gap named."""
    folder = tmp_path / "kitti"
    (folder / "instances_txt").mkdir(parents=True)
    lines = [
        f"{one.frame.t} 1007 1 60 120 {Rle.encode(v.mask).counts}"
        for one in passing_square(FRAMES)[1]
        for v in one.visible
    ]
    (folder / "instances_txt" / "0000.txt").write_text("\n".join(lines) + "\n")
    gap = {"seq": "0000", "track": 1007, "last_visible": 9, "first_visible_again": 13}
    (folder / "gaps.json").write_text(json.dumps([gap]))
    monkeypatch.setattr(table, "KITTI_SIZE", (60, 120))
    return folder


def test_ids_end_at_every_gap_that_is_named(table):
    column = tuple(Rle.encode(square(5)) if t not in (3, 4, 7) else None for t in range(10))
    clip = Clip("0000", (60, 120), tuple("0123456789"), (Track(3, "car", None, column, column),))
    made = table.rename(clip, [table.Gap("0000", 3, 2, 5), table.Gap("0001", 3, 6, 8)])
    shown = {track.id: [t for t, mask in enumerate(track.visible) if mask] for track in made.tracks}
    assert shown == {3: [0, 1, 2], "3.5": [5, 6, 8, 9]}


def test_the_floor_takes_an_id_over_where_its_mask_has_moved_to(table):
    def detection(x: int, hint: int):
        return table.Detection("car", None, square(x), hint)

    floor = table.Floor()
    assert [floor.step([detection(10 + 4 * t, 1)])[0].id for t in range(3)] == [1, 1, 1]
    floor.step([])
    assert [one.id for one in floor.step([detection(26, 2), detection(60, 3)])] == [1, 3]


def test_both_tables_are_written(table, data, kitti, tmp_path, monkeypatch, capsys):
    arguments = ["--data", data, "--kitti", str(kitti), "--method", "copy-visible", "--out", str(tmp_path / "out")]
    ends = ["--front-ends", "degraded:new-ids"]
    monkeypatch.setattr(sys, "argv", ["reassociation_table.py", *arguments, *ends])
    table.main()
    record = json.loads((tmp_path / "out" / "reassociation.json").read_text())
    assert record["streetsim"]["clips"] == ["hidden"]
    off, on = (record["streetsim"]["rows"]["degraded:new-ids"][way]["visible"] for way in ("off", "on"))
    assert (off["id_switches"], off["gaps"], off["found_again"]) == (1, 1, 0.0)
    assert (on["id_switches"], on["found_again"], on["HOTA"], on["IDF1"]) == (0, 1.0, 1.0, 1.0)
    rows = {name: (row["found_again"], row["id_transfers"]) for name, row in record["kitti"]["rows"].items()}
    assert rows["no re-association"] == (0.0, 0)
    assert rows["ours: motion and shape"] == rows["ours, without any ids"] == (1.0, 0)
    assert "| degraded:new-ids | on | 0 | 0 | 1 | 100.0 |" in capsys.readouterr().out


def test_something_to_measure_must_be_named(table, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["reassociation_table.py"])
    with pytest.raises(SystemExit):
        table.main()
    assert "give --data, --kitti, or both" in capsys.readouterr().err
