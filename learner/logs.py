"""TensorBoard event files, beside the database that the monitor reads."""

from __future__ import annotations

from pathlib import Path

from torch.utils.tensorboard.writer import SummaryWriter


class EventFile:
    """Scalars of a run, for people who keep their own tools."""

    def __init__(self, folder: Path, steps: int) -> None:
        """Go on in a folder.

        Args:
            folder: made if it is missing.
            steps: events after this step come from an iteration that was never stored;
                TensorBoard is told to forget them.
        """
        self._writer = SummaryWriter(str(folder), purge_step=steps + 1)

    def write(self, metrics: dict[str, float], step: int) -> None:
        """Write one iteration's figures."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
