"""The command line: one dataclass of settings per command, flags and YAML made from it."""

import dataclasses
import os
import re
import sys
from argparse import SUPPRESS
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import islice
from pathlib import Path

from jsonargparse import ActionYesNo, ArgumentParser, Namespace, get_loader, set_loader, set_parsing_settings
from jsonargparse.typing import PositiveInt
from yaml import YAMLError

from samodal.cli.help import ALL, screen
from samodal.errors import Incomplete, InputError, nearest, printable
from samodal.interruption import COMPLETE, exit_code, stoppable
from samodal.making import UNTRUSTED, code_of
from samodal.registry import listing
from samodal.threads import use_threads
from samodal.version import __version__
from samodal.yaml_files import read_settings

COMMANDS = {
    "demo": ("samodal.cli.demo", "DemoSettings", "the whole job on embedded clips with embedded weights"),
    "run": ("samodal.cli.run", "RunSettings", "a video or data set in; amodal tracks, overlay, report out"),
    "report": ("samodal.cli.report", "ReportSettings", "a page to look at: what happened in a run, and what to doubt"),
    "compare": ("samodal.cli.compare", "CompareSettings", "one page of two runs on the same frames: where they differ"),
    "collect": ("samodal.cli.collect", "CollectSettings", "many results: tables of videos and instances, and a page"),
    "convert": ("samodal.cli.convert", "ConvertSettings", "results in the formats of other tools, and back from CVAT"),
    "evaluate": ("samodal.cli.evaluate", "EvaluateSettings", "AP and vAP of results against truth"),
    "data check": ("samodal.cli.data_check", "CheckSettings", "what a data set holds, and what is broken in it"),
    "weights": ("samodal.cli.weights", "WeightsSettings", "which weights there are: size, licence, what for, at hand"),
    "weights list": ("samodal.cli.weights_list", "WeightsSettings", "the same as samodal weights"),
    "weights info": ("samodal.cli.weights_info", "InfoSettings", "all that is known of weights, by name"),
    "weights verify": ("samodal.cli.weights_verify", "VerifySettings", "whether weights here are what they were"),
    "weights fetch": ("samodal.cli.weights_fetch", "FetchSettings", "fetch weights from the Hugging Face hub, by name"),
    "warmup": ("samodal.cli.warmup", "WarmupSettings", "compile once what --backend compiled needs on this GPU"),
    "doctor": ("samodal.cli.doctor", "DoctorSettings", "what works on this machine"),
    "bench": ("samodal.cli.bench", "BenchSettings", "how fast this machine is, by stage and number of instances"),
    "export onnx": ("samodal.cli.export_onnx", "ExportSettings", "the networks of the default run as ONNX files"),
    "train": ("samodal.cli.train", "TrainSettings", "train or fine-tune the amodal SAM from a recipe"),
    "train completion": ("samodal.cli.train_completion", "CompletionSettings", "train the completer of masks"),
    "train detector": (
        "samodal.cli.train_detector",
        "DetectorSettings",
        "train the detector of road users on real pictures",
    ),
    "train cutter": ("samodal.cli.train_cutter", "CutterSettings", "train the cutter, visible masks of boxes"),
    "train vis": ("samodal.cli.train_vis", "VisSettings", "train a VidEoMT, the front end from pixels alone"),
    "train centers": ("samodal.cli.train_centers", "CentersSettings", "train the small front end centers, on a CPU"),
    "train savos": ("samodal.cli.train_savos", "SavosSettings", "train SAVOS, from visible masks and flow alone"),
    "train tracker": ("samodal.cli.train_tracker", "TrackerSettings", "train a small CoTracker3 on clips"),
    "synth": ("samodal.cli.synth", "SynthSettings", "render StreetSim, the procedural street with exact truth"),
    "experiments": ("samodal.cli.experiments", "ExperimentsSettings", "the paper's tables and figures, by name"),
    "completion": ("samodal.cli.completion", "CompletionSettings", "a script for bash, zsh or fish that completes"),
}


THREADS = (
    "Threads of torch and OpenCV, of each part of the work. By default OMP_NUM_THREADS, or else half the cores (train: "
    "all), 4 at most. On other numbers of threads the last digits of scores may differ."
)
TRUST = "Let YAML files name code outside the package, as package.module:Class, which is then run."

KINDS = {"PositiveInt": "a whole number from 1", "float": "a number", "int": "a whole number"}


def _in_words(message: str) -> str:
    """What the parser says of a value of another type, without names of types; other messages as they are."""
    message = " ".join(message.split())
    found = re.search(r'Parser key "([\w.]+)": (.*?)(?: Given value type: .*)?(?:Given|Got) value: (.*)$', message)
    if found is None:
        return message
    kinds = [words for name, words in KINDS.items() if re.search(rf"\b{name}'>", found[2])]
    kinds += [" or ".join(choices.split(", ")) for choices in re.findall(r"Literal\[(.*?)\]", found[2])]
    return f"{found[1]} must be {' or '.join(kinds)}, got {found[3]}" if kinds else message


class _Parser(ArgumentParser):
    """Errors are one line with the nearest known flag, and exit code 2."""

    flags: Sequence[str] = ()
    listings: Sequence[str] = ()
    lists: Sequence[str] = ()
    whole = False

    def error(self, message: str, ex: Exception | None = None):
        unknown = re.search(r"unrecognized arguments: (--[\w.-]+)|[Oo]ption '([\w.-]+)'", message)
        if unknown:
            name = unknown[1] or unknown[2]
            message = f"unknown setting {name}{nearest(name.lstrip('-'), self.flags)}"
        message = _in_words(message)
        print(f"{self.prog}: {printable(' '.join(message.split()))}", file=sys.stderr)
        sys.exit(2)

    def format_help(self) -> str:
        """The settings on one screen; with `--help-all` each whole, and below them the parts that some of them name."""
        if not self.whole:
            actions = sorted(self._actions, key=lambda action: [*self.flags, action.dest].index(action.dest))
            return f"{screen(self.prog, self.description or '', actions, self.lists)}\n"
        return "\n".join([super().format_help(), *self.listings])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        the exit code: 0; 2 after a message of one line for what the user can mend; 3 after the list of what failed,
        where the rest is done; 130, 143 or 129 after SIGINT, SIGTERM or SIGHUP; or the command's own.
    """
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if rest and f"{name} {rest[0]}" in COMMANDS:
        name, *rest = f"{name} {rest[0]}", *rest[1:]
    prog = f"samodal {name}" if name in COMMANDS else "samodal"
    try:
        with stoppable():
            return _flushed(name, rest)
    except InputError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 3 if isinstance(error, Incomplete) else 2
    except KeyboardInterrupt as stop:
        ended = name in ("evaluate", "data check") or COMPLETE in stop.args
        way_on = "" if ended else "; the same command goes on from there"
        print(f"{prog}: stopped; what was finished is kept{way_on}", file=sys.stderr)
        return exit_code(stop)
    except BrokenPipeError:  # as in `samodal evaluate … | head`
        _silence(sys.stdout)
        return 0
    except OSError as error:
        if error.filename is None:  # as of standard output
            _silence(sys.stdout)
        print(f"{prog}: {printable(error.filename or 'output')}: {error.strerror or error}", file=sys.stderr)
        return 2


def _flushed(name: str, rest: list[str]) -> int:
    """Run a command; what it printed has left this process at its end, where a full disk can still be told."""
    try:
        return _run(name, rest)
    finally:
        sys.stdout.flush()


def _run(name: str, rest: list[str]) -> int:
    """Run a command with its arguments; gives the exit code."""
    if name in ("-h", "--help", "help", "--version"):
        print(f"samodal {__version__}" if name == "--version" else _overview())
        return 0
    if name not in COMMANDS:
        raise InputError(f"unknown command {name!r}{nearest(name, COMMANDS)}")
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    # A path that is no UTF-8, and so no YAML, stays the text that it is.
    set_loader("yaml", get_loader("yaml"), exceptions=(YAMLError, UnicodeEncodeError))
    module, settings, description = COMMANDS[name]
    command = import_module(module)
    rest = _configs(rest, getattr(command, "config_path", str))
    return command.main(parse(getattr(command, settings), rest, f"samodal {name}", description)) or 0


def _silence(stream) -> None:
    """Let what a stream still holds go nowhere: the interpreter would complain of it at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def parse(settings: type, arguments: Sequence[str], prog: str, description: str = ""):
    """Settings from flags and, with --config, from YAML with the same keys; flags win.

    Fields whose metadata has `positional` are given without a flag. Those whose metadata has `parts`, (what they are,
    a table of `samodal.registry`), list it below the help, and alone where asked for by `list` or `help`.
    Unknown keys end the program with exit code 2 and the nearest known one. A file may name code outside the package,
    as package.module:Class, with --trust-config alone, which it cannot give itself.

    Raises:
        InputError: for a file that is no YAML of settings, or names code.
    """
    configs, rest = _configs_first(["--help" if argument == ALL else argument for argument in arguments])
    for argument in configs:
        if argument != "--config":
            _check_config(argument.removeprefix("--config="))
    parser = _Parser(prog=prog, description=description, default_env=False, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML file with any of these settings.")
    fields = dataclasses.fields(settings)
    if "trust_config" not in {f.name for f in fields}:
        parser.add_argument("--trust_config", action="store_true", help=TRUST)
    parser.add_argument("--threads", type=PositiveInt | None, default=None, help=THREADS)
    positional = {f.name for f in fields if f.metadata.get("positional")}
    switches = {f.name for f in fields if f.type in (bool, "bool")}
    parser.add_class_arguments(settings, nested_key=None, skip=positional | switches)
    comments = _comments(settings)
    for field in fields:
        if field.name in positional:
            # A default would win over the key of a YAML file.
            optional = {} if field.default is dataclasses.MISSING else {"nargs": "?", "default": SUPPRESS}
            parser.add_argument(field.name, type=field.metadata["positional"], help=comments[field.name], **optional)
        elif field.name in switches:
            flag = f"--{field.name}"
            parser.add_argument(
                flag, action=ActionYesNo(no_prefix="no-"), default=field.default, help=comments[field.name]
            )
    tables = {f.name: f.metadata["parts"] for f in fields if "parts" in f.metadata}
    parser.lists, parser.whole = list(tables), ALL in arguments
    negated = [f"no-{name}" for name in switches]
    parser.flags = [*(f.name for f in fields), *negated, "help", "help-all", "config", "trust_config", "threads"]
    parser.listings = [f"--{name}:\n{listing(table)}\n" for name, (_, table) in tables.items()]
    known = {"trust_config", "threads", *(f.name for f in fields)}
    rest = [_underscored(argument, known) for argument in rest]
    many = next((f.name for f in fields if f.metadata.get("many")), None)
    rest, more = _first_positional(rest, switches) if many else (rest, [])
    parsed = parser.parse_args([*configs, *rest])
    if more and many:
        parsed[many] = [parsed[many], *more]
    if parsed.threads:
        use_threads(parsed.threads)
    for field in fields:
        if field.name not in parsed:
            parsed[field.name] = field.default
    if configs and not parsed.trust_config:
        _check_code({f.name: _plain(parsed[f.name]) for f in fields}, rest)
    for name, (what, table) in tables.items():
        several = next(f.metadata.get("several") for f in fields if f.name == name)
        if several and getattr(parsed, name) not in ("list", "help"):
            continue
        _check_part(name, what, getattr(parsed, name), table, prog)
    return settings(**{f.name: _plain(getattr(parsed, f.name)) for f in fields})


def _check_config(path: str) -> None:
    """Refuse a settings file that cannot be read, or that decides what else is read or trusted."""
    content = read_settings(Path(path))
    for name in ("config", "trust_config"):
        if content.get(name):
            raise InputError(f"{path}: {name} is for the command line alone")


def _check_code(settings: dict, flags: Sequence[str]) -> None:
    """Refuse code that no flag names, and so a settings file does."""
    for name, text in code_of(settings).items():
        begins = f"--{name.partition('.')[0]}"
        if not any(flag.startswith(begins) and text in " ".join(flags[n : n + 2]) for n, flag in enumerate(flags)):
            raise InputError(f"--config: {name} names code, {text!r}; {UNTRUSTED}")


def _check_part(name: str, what: str, given: str | None, table: dict, prog: str) -> None:
    """End the program with the table of parts where it is asked for, or a line where the given one is not in it."""
    if given in ("list", "help"):
        print(listing(table))
        sys.exit(0)
    if given is not None and given not in table and ":" not in given:
        print(f"{prog}: unknown {what} {given!r}{nearest(given, table)} (list: --{name} list)", file=sys.stderr)
        sys.exit(2)


def _underscored(argument: str, known: set[str]) -> str:
    """A flag with hyphens for the underscores of its setting, as --paste-occluders, as the setting is named."""
    flag, equals, value = argument.partition("=")
    name = flag.removeprefix("--").removeprefix("no-").replace("-", "_")
    name = f"{name}_" if f"{name}_" in known else name  # a word of Python, as --from
    if not flag.startswith("--") or name not in known:
        return argument
    return ("--no-" if flag.startswith("--no-") else "--") + name + equals + value


def _first_positional(arguments: Sequence[str], switches: Collection[str]) -> tuple[list[str], list[str]]:
    """The arguments with the first only of those that are neither flags nor their values, and the others of these."""
    alone = {*switches, *(f"no-{name}" for name in switches), "help", "print_config", "trust_config"}
    rest, positional, following = [], [], iter(arguments)
    for argument in following:
        if not argument.startswith("-"):
            positional.append(argument)
            rest += positional if len(positional) == 1 else []
            continue
        rest.append(argument)
        if argument.startswith("--") and "=" not in argument and argument.removeprefix("--") not in alone:
            rest += islice(following, 1)
    return rest, positional[1:]


def _configs_first(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments that name YAML files, and all others: what comes later wins, and flags shall."""
    configs, others, following = [], [], iter(arguments)
    for argument in following:
        if argument == "--config":
            configs += [argument, *islice(following, 1)]
        else:
            (configs if argument.startswith("--config=") else others).append(argument)
    return configs, others


def _configs(arguments: list[str], path_of: Callable[[str], object]) -> list[str]:
    """The arguments with what follows --config replaced by the file it means, as a recipe's name does for train.

    Raises:
        InputError: where there is no such file.
    """
    replaced = list(arguments)
    for n, argument in enumerate(replaced):
        if argument == "--config" and n + 1 < len(replaced):
            replaced[n + 1] = _config(path_of(replaced[n + 1]))
        elif argument.startswith("--config="):
            replaced[n] = f"--config={_config(path_of(argument.removeprefix('--config=')))}"
    return replaced


def _config(path: object) -> str:
    if not Path(str(path)).is_file():
        raise InputError(f"--config {path}: no such file")
    return str(path)


def _plain(value):
    return vars(value) if isinstance(value, Namespace) else value


def _comments(settings: type) -> dict[str, str]:
    from docstring_parser import parse_from_object

    docstring = parse_from_object(settings)
    return {param.arg_name: param.description or "" for param in docstring.params}


def _overview() -> str:
    lines = [
        f"samodal {__version__}: amodal video instance segmentation for driving",
        "",
        "usage: samodal COMMAND [SETTINGS]        samodal COMMAND --help lists its settings",
        "",
    ]
    width = max(map(len, COMMANDS))
    lines += [f"  {name:<{width}}  {text}" for name, (_, _, text) in COMMANDS.items()]
    return "\n".join([*lines, "", "First steps: samodal demo, then samodal run drive.mp4"])


if __name__ == "__main__":
    sys.exit(main())
