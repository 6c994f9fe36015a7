"""StreetSim as `samodal synth` renders it: AmodalSynthDrive's layout, with a camera file that is written last.

A sequence without its camera file is not finished, unless no sequence has one, as in sets that others made.
"""

from pathlib import Path

from samodal.data.asd import FRONT, AsdDataset, open_asd
from samodal.data.dataset import LabelledVideo
from samodal.errors import InputError


def camera_file(root: Path, name: str) -> Path:
    """Size, times and camera of a sequence."""
    return root / "camera" / FRONT / f"{name}.json"


class StreetSimDataset(AsdDataset):
    """The sequences of one split; opening what is not finished is refused."""

    def video(self, sequence: str) -> LabelledVideo:
        """The sequence of this name.

        Raises:
            InputError: if there is none, or it is not finished.
        """
        video, marker = super().video(sequence), camera_file(self.root, sequence)
        if marker.parent.is_dir() and not marker.exists():
            raise InputError(
                f"{self.root}: {sequence} is not finished, there is no {marker}; give the same samodal synth again, or "
                "remove the sequence"
            )
        return video


def open_streetsim(path: Path) -> AsdDataset:
    """The data set in the folder of a split; see `open_asd`."""
    return open_asd(path, StreetSimDataset)
