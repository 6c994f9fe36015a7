"""`samodal weights info`: all that is known of weights."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class InfoSettings:
    """What weights are for, their licence, size and place, and the model card of those that come with samodal."""

    name: str = field(metadata={"positional": str})
    """One of those that samodal weights lists, as streets-detector or Roboflow/rf-detr-seg-medium."""


def main(settings: InfoSettings) -> None:
    """Print it.

    Raises:
        InputError: for an unknown name.
    """
    from samodal.checkpoints.published import info

    print(info(settings.name))
