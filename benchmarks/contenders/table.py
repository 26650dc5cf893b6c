"""All contenders, by name."""

from __future__ import annotations

from ..contender import Contender
from .arq import Arq
from .asynq import Asynq
from .bullmq import BullMQ
from .celery import Celery
from .docket import Docket
from .dramatiq import Dramatiq
from .huey import Huey
from .limit import Limit
from .own_scripts import Overlapped, OwnScripts
from .rq import RQ
from .saq import Saq
from .streaq import Streaq
from .taskflow import Taskflow
from .taskiq import Taskiq

CONTENDERS: tuple[type[Contender], ...] = (
    *(Taskflow, Limit, OwnScripts, Overlapped, Asynq, Celery),
    *(Dramatiq, RQ, Huey, Arq, Saq, Taskiq, Streaq, Docket, BullMQ),
)
OURS = Taskflow.name

YARDSTICKS = frozenset({Limit.name, OwnScripts.name, Overlapped.name})
"""Those that are no task queues, but show what is possible."""
