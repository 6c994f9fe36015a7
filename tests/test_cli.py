"""Settings from flags and YAML, and the overview."""

import pytest

from samodal.cli.app import COMMANDS, main, parse
from samodal.errors import Incomplete, InputError
from samodal.settings import EvaluateSettings, RunSettings
from samodal.training.recipes import load_recipe


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


ALIASES = [f"{b}: &{b} [{', '.join(['*' + a] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
BOMB = ["a: &a [x, x, x, x, x, x, x, x, x]", *ALIASES]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("method: Stra\xdfe".encode("latin-1"), "expected text"),
        (b"seed: 1: 2", "no YAML"),
        (b"\tseed: 1", "no YAML"),
        (b"- 1", "expected names with values"),
        (b"", "expected names with values"),
        (b"3: 4", "expected names as text, found 3"),
        (b"seed: 1\nseed: 2", "line 2: 'seed' is there twice"),
        (b"seed: " + b"9" * 5000, "no YAML that can be read"),
        (b"vis: " + b"[" * 20_000, "no YAML that can be read"),
        (b"vis: &v [*v]", "contains itself"),
        ("\n".join(BOMB).encode(), "more than 100000 values"),
        (f"vis: '{{{', '.join(BOMB)}}}'".encode(), "more than 100000 values"),
        (b"rules: {points: {class_path: my_part.Part}}", "rules: expected single values"),
        (b"rules: '{points: {class_path: my_part.Part}}'", "points must be a whole number"),
        (b"rules: {points: '{class_path: my_part.Part}'}", "points must be a whole number"),
        (b"rules: {class_path: my_part.Part}", "unknown rule 'class_path'"),
        (b"!!python/object/apply:my_part.Part {}", "no YAML"),
        (b"vis: my_part:Part", "--config: vis names code, 'my_part:Part'"),
        (b"method: my_part:Part", "--config: method names code"),
        (b"rules: {prompt: 'center+my_part:Part'}", "--config: rules.prompt names code"),
        (b"rules: '{prompt: \"my_part:Part\"}'", "--config: rules.prompt names code"),
        (b"tracker: tapir:.,weights.pt", "--config: tracker names code"),
        (b"trust_config: true\nvis: my_part:Part", "trust_config is for the command line alone"),
        (b"config: other.yaml", "config is for the command line alone"),
        (b'out: "\\e[8m"\n"\\e[31mseed": 1', r"\x1b[31mseed"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_settings_of_others_are_read_in_bounds_and_run_nothing(content, told, tmp_path, monkeypatch, capsys):
    (tmp_path / "my_part.py").write_text("open('it ran', 'w')\nclass Part:\n    open = 1\n")
    (tmp_path / "other.yaml").write_text("vis: my_part:Part")
    (tmp_path / "run.yaml").write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["run", "v.mp4", "--config", "run.yaml"])
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2 and told in error and error.count("\n") == 1 and "\x1b" not in error
    assert not (tmp_path / "it ran").exists()


def test_code_is_named_on_the_command_line_or_in_a_file_that_it_trusts(tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("vis: my_part:Part\nrules: {prompt: 'my_part:Prompt'}\n")
    given = ["v.mp4", f"--config={config}"]
    for flags in (["--trust-config"], ["--vis", "my_part:Part", "--rules.prompt=my_part:Prompt"]):
        assert parse(RunSettings, [*given, *flags], "samodal run").vis == "my_part:Part"
    with pytest.raises(InputError, match="rules.prompt names code"):
        parse(RunSettings, [*given, "--vis=my_part:Part", "--rules.points=3"], "samodal run")


@pytest.mark.parametrize("text", ["lr: [1]", "lr: x", "names: 3", "steps: 1.5", "- 1", "resume: 7"])
def test_a_recipe_of_others_is_checked(text, tmp_path):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(InputError, match="mine.yaml"):
        load_recipe(str(tmp_path / "mine.yaml"))


def test_a_yaml_file_with_a_byte_order_mark_of_windows_is_read(tmp_path):
    (tmp_path / "run.yaml").write_bytes(b"\xef\xbb\xbfseed: 3\r\nmethod: hull\r\nclasses: 2020-13-45\r\n")
    settings = parse(RunSettings, ["v.mp4", "--config", str(tmp_path / "run.yaml")], "samodal run")
    assert (settings.seed, settings.method, settings.classes) == (3, "hull", "2020-13-45")


def test_a_yaml_file_that_is_not_there_is_one_plain_sentence(capsys):
    for given in (["--config", "nosuch.yaml"], ["--config=nosuch.yaml"]):
        assert main(["run", "v.mp4", *given]) == 2
        assert capsys.readouterr().err == "samodal run: --config nosuch.yaml: no such file\n"
