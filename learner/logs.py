"""TensorBoard event files, beside the database that the monitor reads."""

from __future__ import annotations

from pathlib import Path

from torch.utils.tensorboard.writer import SummaryWriter

from learner.errors import Unwritable


class EventFile:
    """Scalars of a run, for people who keep their own tools."""

    def __init__(self, folder: Path, steps: int) -> None:
        """Go on in a folder.

        Args:
            folder: made if it is missing.
            steps: events after this step come from an iteration that was never stored;
                TensorBoard is told to forget them.

        Raises:
            Unwritable: the folder cannot be made or written.
        """
        self._folder = folder
        try:
            self._writer = SummaryWriter(str(folder), purge_step=steps + 1)
        except OSError as error:
            raise Unwritable(folder, error) from error

    def write(self, metrics: dict[str, float], step: int) -> None:
        """Write one iteration's figures.

        Raises:
            Unwritable: the folder cannot be written, or its disk is full.
        """
        try:
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()
        except OSError as error:
            raise Unwritable(self._folder, error) from error

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
