"""`samodal train completion`: whole objects from visible masks, on a GPU in minutes, fine-tuned on a CPU."""

from samodal.training.completion.settings import CompletionSettings


def main(settings: CompletionSettings) -> None:
    """Train, and print where the checkpoint lies.

    Raises:
        InputError: if data or settings cannot be used.
    """
    from samodal.training.completion.completion import train

    print(train(settings))
