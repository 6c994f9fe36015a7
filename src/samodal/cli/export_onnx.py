"""`samodal export onnx`: the networks of the default run as ONNX files."""

from dataclasses import dataclass, field
from pathlib import Path

from samodal.errors import InputError


@dataclass(frozen=True)
class ExportSettings:
    """Write detector.onnx, cutter.onnx and completer.onnx, for any runtime; inputs and outputs are those of
    Detector.grids and CropNetwork.answers."""

    out: Path = field(metadata={"positional": Path})
    """Folder, made if missing."""
    detector: str = "streets-detector"
    """Weights of a detector: a name of shipped weights or a file."""
    cutter: str = "streets-cutter"
    """Weights of a cutter."""
    completer: str = "streetsim-complete"
    """Weights of a completer."""


def main(settings: ExportSettings) -> None:
    """Write the files, and print what each takes."""
    from samodal.checkpoints.exported import onnx_of, write_onnx
    from samodal.frontends import cutter, detector
    from samodal.segmenters import completion

    if settings.out.exists() and not settings.out.is_dir():
        raise InputError(f"export onnx: {settings.out} is a file; give a folder")
    settings.out.mkdir(parents=True, exist_ok=True)
    for name, room in (("detector", detector), ("cutter", cutter), ("completer", completion)):
        network = room.load(getattr(settings, name))
        write_onnx(settings.out / f"{name}.onnx", onnx_of(network, *network.exported))
        inputs = ", ".join(f"{key} {tuple(value.shape)}" for key, value in network.exported[1].items())
        print(f"wrote {settings.out / name}.onnx: {inputs}, axes of other lengths by name")
