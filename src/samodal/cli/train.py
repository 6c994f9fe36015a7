"""`samodal train`: teach a SAM visible or amodal masks, from a recipe and flags."""

from samodal.training.sam.settings import TrainSettings


def config_path(name: str) -> object:
    """The YAML file that --config means: a file, or a shipped recipe by its name.

    Raises:
        InputError: if there is neither, with the nearest known recipe.
    """
    from samodal.training.recipes import recipe_path

    return recipe_path(name)


def main(settings: TrainSettings) -> None:
    """Train, and print where the checkpoint lies.

    Raises:
        InputError: if data, checkpoint or settings cannot be used.
    """
    from samodal.training.sam.sam import train

    outcome = train(settings)
    print(f"{outcome.checkpoint} after {outcome.steps} steps, {outcome.minutes:.1f} min")
