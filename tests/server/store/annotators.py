"""Label as several people at once: `python annotators.py URL RUN_ID PERSON_ID...`.

Prints one line per answer that the store has acknowledged: query id, person id.
"""

from __future__ import annotations

import sys
import threading
import time
from datetime import UTC, datetime

from server.database import Database
from server.store import assignments, queries


def label(database: Database, run_id: int, person_id: int) -> None:
    """Answer until no pair is open."""
    while True:
        now = datetime.now(UTC)
        with database.write() as s:
            pairs = assignments.next_assignments(
                s, run_id=run_id, person_id=person_id, count=1, now=now, seconds=120
            )
        if not pairs:
            with database.read() as s:
                if queries.counts(s, run_id=run_id, now=now).open == 0:
                    return
            time.sleep(0.01)  # the last pairs are in other hands
            continue
        with database.write() as s:
            answer = assignments.submit(
                s,
                assignment_id=pairs[0].id,
                person_id=person_id,
                side="left",
                seconds=1.0,
                submission_key=str(pairs[0].id),
                now=now,
            )
        sys.stdout.write(f"{answer.query_id} {person_id}\n")


if __name__ == "__main__":
    shared = Database(sys.argv[1])
    threads = [
        threading.Thread(target=label, args=(shared, int(sys.argv[2]), int(person)))
        for person in sys.argv[3:]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shared.close()
