"""`samodal completion`: commands, settings and the names of parts, completed by the shell."""

import dataclasses
from dataclasses import dataclass, field
from importlib import import_module
from shlex import quote
from typing import Literal, get_args, get_origin, get_type_hints

from samodal.cli.app import COMMANDS
from samodal.cli.help import ALL

Shell = Literal["bash", "zsh", "fish"]


@dataclass(frozen=True)
class CompletionSettings:
    """Print a script that completes commands, settings and names of parts. For bash: source <(samodal completion
    bash); for zsh the same with zsh; for fish: samodal completion fish | source."""

    shell: Shell = field(metadata={"positional": Shell})
    """bash, zsh or fish."""


def main(settings: CompletionSettings) -> None:
    """Print it."""
    print(_fish() if settings.shell == "fish" else _bash(settings.shell))


def flags_of(command: str) -> dict[str, tuple[str, ...]]:
    """The flags of a command, each with the values that it may have where they are few."""
    module, name, _ = COMMANDS[command]
    kind = getattr(import_module(module), name)
    hints, flags = get_type_hints(kind), {}
    for setting in dataclasses.fields(kind):
        if setting.metadata.get("positional"):
            continue
        flag, hint = f"--{setting.name.rstrip('_').replace('_', '-')}", hints[setting.name]
        parts = setting.metadata.get("parts")
        flags[flag] = tuple(parts[1]) if parts else get_args(hint) if get_origin(hint) is Literal else ()
        if hint is bool:
            flags[f"--no-{flag.removeprefix('--')}"] = ()
    return flags | {"--config": (), "--help": (), ALL: ()}


def _bash(shell: str) -> str:
    cases, values = [], {}
    for command in sorted(COMMANDS, key=lambda name: -len(name.split())):
        flags = flags_of(command)
        below = [name.split()[1] for name in COMMANDS if name.startswith(f"{command} ")]
        cases.append(f"    {quote(command)}|{quote(command)}\\ *) options={quote(' '.join([*below, *flags]))} ;;")
        values |= {flag: names for flag, names in flags.items() if names}
    first = " ".join(dict.fromkeys(name.split()[0] for name in COMMANDS))
    known = [f"    {flag}) options={quote(' '.join(map(str, names)))} ;;" for flag, names in values.items()]
    return "\n".join([
        *(["autoload -U +X bashcompinit && bashcompinit"] if shell == "zsh" else []),
        "_samodal() {",
        '  local before="${COMP_WORDS[*]:1:COMP_CWORD-1}" options',
        '  case "$before" in',
        *cases,
        f"    *) options={quote(f'{first} --help --version')} ;;",
        "  esac",
        '  case "${COMP_WORDS[COMP_CWORD-1]}" in',
        *known,
        "  esac",
        '  COMPREPLY=($(compgen -W "$options" -- "${COMP_WORDS[COMP_CWORD]}"))',
        "}",
        "complete -o default -F _samodal samodal",
    ])  # fmt: skip


def _fish() -> str:
    lines = []
    for command, (_, _, text) in COMMANDS.items():
        head, _, tail = command.partition(" ")
        if tail:
            condition = f"__fish_seen_subcommand_from {head}; and __fish_seen_subcommand_from {tail}"
            above = f"__fish_seen_subcommand_from {head}; and not __fish_seen_subcommand_from {tail}"
            lines.append(f"complete -c samodal -n {quote(above)} -a {tail} -d {quote(text)}")
        else:
            condition = f"__fish_seen_subcommand_from {head}"
            lines.append(f"complete -c samodal -n __fish_use_subcommand -a {head} -d {quote(text)}")
        for flag, values in flags_of(command).items():
            given = f" -x -a {quote(' '.join(map(str, values)))}" if values else ""
            lines.append(f"complete -c samodal -n {quote(condition)} -l {flag.removeprefix('--')}{given}")
    return "\n".join(lines)
