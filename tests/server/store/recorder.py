"""Store artifacts and the rows that name them until killed: `recorder.py URL FOLDER RUN_ID`."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

from server.artifacts import Artifacts
from server.database import Database
from server.store import trajectories

if __name__ == "__main__":
    database, artifacts = Database(sys.argv[1]), Artifacts(sys.argv[2])
    run_id = int(sys.argv[3])
    while True:
        names = [artifacts.put(os.urandom(300_000)) for _ in range(2)]
        with database.write() as s:
            for name in names:
                row = trajectories.add_trajectory(
                    s,
                    run_id=run_id,
                    artifact=name,
                    episode=names[0],
                    level=0,
                    policy_step=0,
                    steps=50,
                    true_return=0.0,
                    now=datetime.now(UTC),
                )
                trajectories.add_segment(
                    s,
                    run_id=run_id,
                    trajectory_id=row.id,
                    start=0,
                    length=25,
                    true_return=0.0,
                )
        sys.stdout.write("stored\n")
        sys.stdout.flush()
