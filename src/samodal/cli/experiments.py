"""`samodal experiments`: the paper's tables and figures, one name each."""

from samodal.experiments.settings import ExperimentsSettings


def main(settings: ExperimentsSettings) -> None:
    """Print and write a table for each experiment; `list` prints what there is.

    Raises:
        InputError: for unknown names, data or weights.
    """
    if settings.names == "list":
        from samodal.experiments.config import load, names

        for name in names():
            print(f"  {name:<12} {load(name).title}")
        return
    from samodal.experiments.conduct import conduct

    conduct(settings)
