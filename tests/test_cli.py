"""Settings from flags and YAML, and the overview."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from samodal import doctor
from samodal.cli.app import COMMANDS, main, parse
from samodal.errors import Incomplete, InputError
from samodal.settings import EvaluateSettings, RunSettings
from samodal.training.recipes import load_recipe


def test_the_overview_names_every_command(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    begins = {line.find(told) for name, (_, _, told) in COMMANDS.items() for line in text.splitlines() if told in line}
    assert all(name in text for name in COMMANDS) and len(begins) == 1


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
    assert all(f.name.rstrip("_") in text or f.metadata.get("positional") for f in fields(kind))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_fits_a_screen_of_100x40_and_all_of_it_is_there_on_request(command, capsys):
    texts = []
    for flag in ("--help", "--help-all"):
        with pytest.raises(SystemExit) as stop:
            main([*command.split(), flag])
        assert stop.value.code == 0
        texts.append(capsys.readouterr().out)
    lines = texts[0].splitlines()
    assert len(lines) < 40 and max(map(len, lines)) <= 100
    assert "--help-all" in texts[0] and (command != "run" or len(texts[1].splitlines()) > 200)


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
    assert main(["export"]) == 2  # the first of two words
    assert "did you mean 'export onnx'" in capsys.readouterr().err


def test_a_shipped_recipe_is_taken_by_its_name_and_a_misspelt_one_names_the_nearest(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # a training begins its log where it is called
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


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--stride", "x"], "stride must be a whole number, got x"),
        (["--fps", "fast"], "fps must be a number, got fast"),
        (["--threads", "0"], "threads must be a whole number from 1, got 0"),
        (["--backend", "tf"], "backend must be 'torch' or 'onnx' or 'compiled', got tf"),
    ],
)
def test_a_value_of_another_type_is_one_plain_sentence(given, told, capsys):
    with pytest.raises(SystemExit):
        parse(RunSettings, given, "samodal run")
    assert capsys.readouterr().err == f"samodal run: {told}\n"


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


def test_the_completion_of_bash_offers_commands_flags_and_names_of_parts(tmp_path, capsys):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on this machine")
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "completion.bash"
    script.write_text(capsys.readouterr().out)

    def offered(*words):
        line = f"COMP_WORDS=({' '.join(words)} ''); COMP_CWORD={len(words)}; _samodal; echo ${{COMPREPLY[@]}}"
        ran = subprocess.run([bash, "-c", f"source {script}; {line}"], capture_output=True, text=True, check=True)
        return set(ran.stdout.split())

    assert {name.split()[0] for name in COMMANDS} <= offered("samodal")
    assert {"detector", "truth"} <= offered("samodal", "run", "--vis")
    assert {"--stride", "--no-overlay", "--help-all"} <= offered("samodal", "run")
    assert {"centers", "--recipe"} <= offered("samodal", "train") and "--recipe" not in offered("samodal", "run")
    assert {"--name"} <= offered("samodal", "train", "completion")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_completions_of_other_shells_name_every_command_and_flag(shell, capsys):
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert all(word in text for name in COMMANDS for word in name.split()) and "stride" in text
    assert ("bashcompinit" in text) == (shell == "zsh")


def test_the_doctor_tells_what_works_and_what_is_missing_with_the_way_out(tmp_path, capsys, monkeypatch):
    real = doctor.find_spec
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "pyarrow" else real(name))
    assert main(["doctor", "--out", str(tmp_path / "runs" / "a")]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = {line[6:19].strip(): line for line in lines}
    assert {"samodal", "torch", "device", "video", "overlay.mp4", "OpenCV", "memory", "disk", "weights"} <= told.keys()
    assert told["[tables]"].startswith("-") and "pip install 'samodal[tables]'" in told["[tables]"]
    assert str(tmp_path) in told["disk"] and told["weights"].startswith("ok") and not (tmp_path / "runs").exists()


def test_the_doctor_counts_one_thread_as_one(monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert next(doctor._torch()).text.endswith(", 1 thread on 2 cores")


def test_the_doctor_has_exit_code_1_where_a_run_cannot_work(monkeypatch, capsys):
    monkeypatch.setattr("samodal.checkpoints.published.verified", lambda: iter([("a", ""), ("b", "has changed")]))
    assert main(["doctor"]) == 1
    assert "FAULT weights       b: has changed" in capsys.readouterr().out


def test_the_doctor_says_where_the_pages_are_from_any_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 0
    (found,) = re.findall(r"^ok    docs +(.*)$", capsys.readouterr().out, re.MULTILINE)
    assert (Path(found) / "start.md").is_file()


def test_the_doctor_knows_every_extra():
    import tomllib

    path = Path(__file__).parents[1] / "pyproject.toml"
    extras = tomllib.loads(path.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(doctor.EXTRAS) == set(extras) - {"dev", "docs"}
    for name, modules in doctor.EXTRAS.items():
        assert {re.split("[>=<]", line)[0] for line in extras[name]} == set(modules)


def test_little_memory_or_disk_is_told_with_what_is_needed(tmp_path):
    assert "a run takes" in doctor._memory(0.4).text and doctor._memory(8).ok and doctor._memory(None).ok is None
    assert "--out" in doctor._disk(0.1, tmp_path).text and doctor._disk(9, tmp_path).ok
