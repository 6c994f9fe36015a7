"""`samodal weights fetch`: published weights from the Hugging Face hub."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class FetchSettings:
    """Fetch published weights into the Hugging Face cache, and check them: revision, and checksum of each file."""

    name: str = field(metadata={"positional": str})
    """One of those that `samodal weights` lists, as Roboflow/rf-detr-seg-medium."""


def main(settings: FetchSettings) -> None:
    """Fetch, and say size and licence before.

    Raises:
        InputError: for an unknown name, or without a network.
    """
    from samodal.checkpoints.published import get

    get(settings.name)
