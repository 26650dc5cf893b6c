"""The app."""

from taskflow import TaskFlow

app = TaskFlow("proj", include=["proj.tasks", "proj.library"])

app.conf.update(
    result_expires=3600,
    task_serializer="json",
    accept_content=["json"],
    timezone="Europe/Berlin",
    enable_utc=True,
    worker_prefetch_multiplier=1,
    task_track_started=True,
    task_routes={"proj.tasks.import_*": {"queue": "feeds"}},
)
