"""Actions of a server as Nova stores them, and runs of the past."""

import sqlite3
from datetime import datetime, timedelta, timezone

from tests.cloud import Cloud


def ago(minutes: int) -> datetime:
    """A moment in UTC, naive and in whole seconds, as both databases have it."""
    now = datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)
    return now - timedelta(minutes=minutes)


def act(cloud: Cloud, uuid: str, action: str, minutes: int, result: str | None = "Success") -> None:
    """Store that ACTION was asked for so many MINUTES ago; a RESULT of None: it did not end."""
    moment = {"start_time": ago(minutes), "deleted": 0}
    message = "Error" if result == "Error" else None
    values = {"action": action, "instance_uuid": uuid, "message": message, **moment}
    number = cloud.insert("instance_actions", "cell1", **values)
    event = {"event": f"compute_{action}_instance", "action_id": number, "result": result}
    cloud.insert("instance_actions_events", "cell1", **event, **moment)


def age(cloud: Cloud, run: int, minutes: int) -> None:
    """Move a run to so many MINUTES ago."""
    moment = ago(minutes).isoformat(" ") + ".000000"
    with sqlite3.connect(cloud.folder / "state.sqlite") as connection:
        statement = "UPDATE runs SET started = ?, finished = ? WHERE id = ?"
        connection.execute(statement, (moment, moment, run))
    connection.close()
