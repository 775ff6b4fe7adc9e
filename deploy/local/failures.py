"""The one error of this package: a set-up that cannot go on, told in one sentence that says what to do."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SetupFailed(Exception):  # noqa: N818 (it is told to a person)
    """What is wrong and what to do about it, in one sentence. `log_lines` are the last words of a process that died."""

    def __init__(self, sentence: str, log_lines: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.log_lines = log_lines


@contextmanager
def told_by_sentence(what: str, folder: Path) -> Iterator[None]:
    """Turns the file system's errors into SetupFailed. `what` is what was being done, as in "writing the settings"."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SetupFailed(f"The disk of {folder} is full ({what}): free some space, then run this again.") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise SetupFailed(
                f"{error.filename or folder} may not be written ({what}): change its owner or mode, then run this again."
            ) from error
        raise SetupFailed(f"{what} failed in {folder}: {error}; mend that, then run this again.") from error
