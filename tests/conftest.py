"""Test helpers live beside the tests and are imported by name."""

import sys
from pathlib import Path

import pytest

from samodal.threads import begin_process

sys.path.insert(0, str(Path(__file__).parent))
begin_process()  # before torch is imported: on a busy machine threads that wait in a loop cost ten times the time


@pytest.fixture(scope="module")
def one_thread():
    """On a busy machine small tensors wait longer for a second thread than they take."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
