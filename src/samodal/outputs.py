"""Writing files: to a temporary name, moved when whole, by a single process at a time; never over an input or a device.

Room for everything that writes. What is wrong becomes one line with the file's name.
"""

import errno
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from samodal.errors import DiskFull, InputError

try:
    import fcntl
except ImportError:  # Windows: a folder is not guarded there
    fcntl = None

PATIENCE_S = 4.0
"""Seconds that a lock is waited for: workers of a process that was killed need a moment to end."""


def cannot_write(path: Path, error: Exception) -> InputError:
    """The error for a file that could not be written."""
    reason = getattr(error, "strerror", None) or error
    kind = DiskFull if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) else InputError
    return kind(f"{path}: cannot be written ({reason}); free some space or choose another folder")


def check_folder(path: Path, flag: str = "") -> None:
    """Refuse a folder that cannot be made, as there is a file in the way; nothing is made.

    Args:
        flag: that names it, for the message.

    Raises:
        InputError: naming what is in the way.
    """
    try:
        taken = next((place for place in (path, *path.parents) if place.exists() and not place.is_dir()), None)
    except OSError as error:  # a name that is too long, or a folder that may not be read
        raise cannot_write(path, error) from None
    if taken is not None:
        raise InputError(f"{flag}{' ' if flag else ''}{taken}: is a file; give a folder")


def make_folder(path: Path) -> None:
    """Make a folder with those above it.

    Raises:
        InputError: if the place refuses, or a file is in the way.
    """
    check_folder(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from None


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary name; when the block ends well, its file takes the place of an older file at `path` in one step.

    A link is followed: the file that it leads to is replaced. After a failure the older file is as it was.

    Raises:
        InputError: if `path` is a folder or a device, or cannot be written, as on a full disk.
    """
    path = Path(os.path.realpath(path))
    partial = path.with_name(f"{path.stem}.part{path.suffix}")
    try:
        _refuse_special(path)
        make_folder(path.parent)
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def writing_folder(path: Path, mark: str) -> Iterator[Path]:
    """The same for a folder: an empty one of a temporary name, which takes the place of an older one when it is whole.

    Args:
        mark: name of a file that such folders hold, which the block writes; another folder is not replaced.

    Raises:
        InputError: if `path` is a file or a folder of something else, or cannot be written.
    """
    path = Path(os.path.realpath(path))
    partial, older = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.old")
    check_folder(path)
    try:
        if path.exists() and not (path / mark).is_file() and any(path.iterdir()):
            raise InputError(f"{path}: is a folder of something else; give one that is not there yet")
        for left in (partial, older):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        if path.exists():
            os.replace(path, older)
        os.replace(partial, path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        for left in (partial, older):
            shutil.rmtree(left, ignore_errors=True)


def _refuse_special(path: Path) -> None:
    """Refuse to replace what is no plain file: a device would become one."""
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise InputError(f"{path}: is a {'folder' if path.is_dir() else 'device'}; give the name of a file")


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[str | Path | None]) -> None:
    """Refuse outputs that would replace what is read.

    Raises:
        InputError: naming the first.
    """
    written = {_node(path): path for path in outputs if os.path.exists(path)}
    for path in inputs if written else ():
        if path and os.path.exists(path) and _node(path) in written:
            raise InputError(
                f"{written[_node(path)]}: is read by this command and would be replaced; give another place for results"
            )


def _node(path: str | Path) -> tuple[int, int]:
    """What tells a file or folder from all others, by whatever name it is called."""
    known = os.stat(path)
    return known.st_dev, known.st_ino


@contextmanager
def locked(path: Path, what: str, patience: float = PATIENCE_S) -> Iterator[None]:
    """Hold a lock file while the block runs; the system lets go of it when the process ends, however it ends.

    Args:
        path: of the lock file; its folder is made, and the file removed in the end.
        what: that is being written, for messages.
        patience: seconds that are waited for another process.

    Raises:
        InputError: if another process holds it, with its number.
    """
    make_folder(path.parent)
    file, deadline = None, time.monotonic() + patience
    try:
        while file is None:
            file = _acquired(path)
            if file is None and time.monotonic() > deadline:
                raise InputError(f"{what}: is being written by process {_holder(path)}; wait, or give another place")
            if file is None:
                time.sleep(0.05)
    except OSError as error:
        raise cannot_write(path, error) from None
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(file)


def _acquired(path: Path) -> int | None:
    """The descriptor of the lock file with the lock; None where another process holds it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file).st_ino == os.stat(path).st_ino:  # else its holder has just removed it
            os.truncate(file, 0)
            os.write(file, str(os.getpid()).encode())
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(file)
        raise
    os.close(file)
    return None


def _holder(path: Path) -> str:
    with suppress(OSError):
        return path.read_text() or "?"
    return "?"
