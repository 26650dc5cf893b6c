"""All contenders, by name."""

from __future__ import annotations

from ..contender import Contender
from .asynq import Asynq
from .celery import Celery
from .limit import Limit, Overlapped
from .taskflow import Taskflow

CONTENDERS: tuple[type[Contender], ...] = (Taskflow, Limit, Overlapped, Asynq, Celery)
OURS = Taskflow.name
