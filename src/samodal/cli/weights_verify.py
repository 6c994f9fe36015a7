"""`samodal weights verify`: whether weights on this machine are what they were."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class VerifySettings:
    """Hold weights on this machine against their checksums, without a network; exit code 1 where one has changed."""

    name: str | None = field(default=None, metadata={"positional": str})
    """One of those that samodal weights lists; all that are at hand where it is not given."""


def main(settings: VerifySettings) -> int:
    """Print a line for each.

    Raises:
        InputError: for a name that is not known, or not at hand.
    """
    from samodal.checkpoints.published import verified

    faults = 0
    for name, fault in verified(settings.name):
        print(f"{name}: {fault or 'unchanged'}")
        faults += bool(fault)
    return 1 if faults else 0
