"""The 36 numbers that the released evaluators give on one case, through files and the command's main."""

import json
from pathlib import Path

import pytest

from samodal.cli.evaluate import EvaluateSettings, main

CASE = json.loads((Path(__file__).parent / "golden" / "metrics_case.json").read_text())


@pytest.mark.parametrize("level", ["video", "image"])
def test_the_released_numbers_come_out_of_files(tmp_path, capsys, level):
    for name in ("truth", "results"):
        (tmp_path / f"{name}.json").write_text(json.dumps(CASE[f"{level}_{name}"]))
    settings = EvaluateSettings(
        str(tmp_path / "results.json"),
        str(tmp_path / "truth.json"),
        profile="official",
        json=str(tmp_path / "scores.json"),
    )
    main(settings)
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert (scores["level"], scores["profile"]) == (level, "official")
    expected = CASE[f"expected_{level}"]
    assert len(expected) == 18
    for name, value in expected.items():
        assert scores["metrics"][name] == pytest.approx(value, abs=1e-6), name
    assert scores["counts"]["detections"] == len(CASE[f"{level}_results"])
    assert "AP50_heavy" in capsys.readouterr().out
