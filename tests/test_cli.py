"""Settings from flags and YAML, and the overview."""

import pytest

from samodal.cli.app import COMMANDS, main, parse
from samodal.errors import Incomplete, InputError
from samodal.settings import EvaluateSettings, RunSettings


def test_the_overview_names_every_command(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_of_every_command_is_explained(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    from dataclasses import fields
    from importlib import import_module

    module, name, _ = COMMANDS[command]
    kind = getattr(import_module(module), name)
    from docstring_parser import parse_from_object

    described = {p.arg_name for p in parse_from_object(kind).params if p.description}
    assert {f.name for f in fields(kind)} == described
    assert all(f.name in text or f.metadata.get("positional") for f in fields(kind))


def test_flags_win_over_yaml_and_yaml_over_defaults(tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("method: hull\nseed: 3\nrules: {unite: false}\n")
    settings = parse(RunSettings, ["v.mp4", "--config", str(config), "--seed", "4", "--rules.border=7"], "samodal run")
    assert (settings.video, settings.method, settings.seed) == ("v.mp4", "hull", 4)
    assert settings.rules == {"unite": False, "border": 7}
    assert settings.overlay is True
    assert parse(RunSettings, ["v.mp4", "--no-overlay"], "samodal run").overlay is False


def test_an_unknown_key_in_yaml_is_refused_with_the_nearest_one(tmp_path, capsys):
    config = tmp_path / "run.yaml"
    config.write_text("methd: hull\n")
    with pytest.raises(SystemExit) as stop:
        parse(RunSettings, ["v.mp4", "--config", str(config)], "samodal run")
    assert stop.value.code == 2
    assert "did you mean 'method'" in capsys.readouterr().err


def test_an_unknown_command_is_refused_with_the_nearest_one(capsys):
    assert main(["evalute"]) == 2
    assert "did you mean 'evaluate'" in capsys.readouterr().err


def test_a_shipped_recipe_is_taken_by_its_name_and_a_misspelt_one_names_the_nearest(capsys):
    assert main(["train", "--config", "asd-papr"]) == 2
    assert "did you mean 'asd-paper'" in capsys.readouterr().err
    assert main(["train", "--config", "asd-paper", "--init", "none.pth", "--data", "asd:nowhere"]) == 2
    assert "none.pth: no such checkpoint" in capsys.readouterr().err


def test_an_unknown_flag_names_the_nearest_one_switches_included(capsys):
    for given, nearest in (
        ("--presett=paper", "'preset'"),
        ("--no-overlai", "'no-overlay'"),
        ("--confg=x", "'config'"),
    ):
        with pytest.raises(SystemExit) as stop:
            parse(RunSettings, ["v.mp4", given], "samodal run")
        assert stop.value.code == 2
        assert f"did you mean {nearest}" in capsys.readouterr().err


def test_what_failed_in_part_is_exit_code_3_and_what_can_be_mended_2(monkeypatch, capsys):
    for error, code in ((InputError("no such file"), 2), (Incomplete("1 of 2 clips failed"), 3)):

        def fail(settings, error=error):
            raise error

        monkeypatch.setattr("samodal.cli.run.main", fail)
        assert main(["run", "v.mp4"]) == code
        assert f"samodal run: {error}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "flags"),
    [(RunSettings, ["drive.mp4", "--method=hull"]), (EvaluateSettings, ["results.json", "--truth=truth.json"])],
)
def test_printed_settings_are_taken_up_again_with_what_is_given_without_a_flag(kind, flags, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(kind, [*flags, "--print_config"], "samodal run")
    assert stop.value.code == 0
    (tmp_path / "printed.yaml").write_text(capsys.readouterr().out)
    assert parse(kind, ["--config", str(tmp_path / "printed.yaml")], "samodal run") == parse(kind, flags, "samodal run")


def test_what_is_given_on_the_command_line_wins_over_yaml_wherever_it_stands(tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("video: a.mp4\nseed: 3\n")
    for given in (["b.mp4", "--seed=4", "--config", str(config)], [f"--config={config}", "b.mp4", "--seed=4"]):
        settings = parse(RunSettings, given, "samodal run")
        assert (settings.video, settings.seed) == ("b.mp4", 4)
    assert parse(RunSettings, [], "samodal run").video is None


def test_a_missing_argument_is_one_line_with_yaml_too(tmp_path, capsys):
    config = tmp_path / "evaluate.yaml"
    config.write_text("truth: truth.json\n")
    with pytest.raises(SystemExit):
        parse(EvaluateSettings, ["--config", str(config)], "samodal evaluate")
    assert capsys.readouterr().err == "samodal evaluate: the following arguments are required: results\n"


def test_a_shortened_flag_is_refused_with_the_whole_one(capsys):
    for given in (["--vis_scal=0.5"], ["--vis_scal", "0.5"]):
        with pytest.raises(SystemExit) as stop:
            parse(RunSettings, ["v.mp4", *given], "samodal run")
        assert stop.value.code == 2
        assert "unknown setting --vis_scal; did you mean 'vis_scale'" in capsys.readouterr().err


def test_a_yaml_file_that_is_not_there_is_one_plain_sentence(capsys):
    for given in (["--config", "nosuch.yaml"], ["--config=nosuch.yaml"]):
        assert main(["run", "v.mp4", *given]) == 2
        assert capsys.readouterr().err == "samodal run: --config nosuch.yaml: no such file\n"
