"""SQLAlchemy: a call is a row in the transaction of its order, and a relay brings it to its queue, once.

The worker: DATABASE_URL=postgresql+psycopg://… taskflow worker -A sqlalchemy_outbox
A call:     python sqlalchemy_outbox.py
The relay:  python sqlalchemy_outbox.py relay
"""

import os
import sys
import time
from collections.abc import Sequence
from contextvars import ContextVar

from sqlalchemy import create_engine, delete, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from taskflow import ReadyTask, TaskFlow

app = TaskFlow("shop")
engine = create_engine(os.environ.get("DATABASE_URL", "sqlite:///shop.db"))
session: ContextVar[Session] = ContextVar("session")


class Base(DeclarativeBase): ...


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    quantity: Mapped[int]


class Row(Base):
    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[bytes]


class Rows:
    """What is called in the block of a session goes into its transaction."""

    def put(self, tasks: Sequence[ReadyTask]) -> None:
        session.get().add_all(Row(task=task.pack()) for task in tasks)


app.use_outbox(Rows())


@app.task
def confirm(order: int) -> None:
    print("confirmed", order)


def buy(quantity: int) -> int:
    """Either there is an order and its task will run, or neither."""
    with Session(engine) as db, db.begin():
        token = session.set(db)
        order = Order(quantity=quantity)
        db.add(order)
        db.flush()
        confirm.delay(order.id)
        session.reset(token)
        if quantity > 100:
            raise ValueError("nobody eats so many apples")
        return order.id


def relay() -> int:
    """Deliver what is there, in its order; how much that was. Several may run: the server tells what comes twice."""
    with Session(engine) as db, db.begin():
        found = db.scalars(select(Row).order_by(Row.id).limit(100).with_for_update(skip_locked=True)).all()
        tasks = [ReadyTask.unpack(row.task) for row in found]
        deliveries = app.deliver(tasks)
        done = [row.id for row, one in zip(found, deliveries, strict=True) if one.is_settled]
        db.execute(delete(Row).where(Row.id.in_(done)))
    app.delivered([task for task, one in zip(tasks, deliveries, strict=True) if one.is_settled])
    return len(done)


if __name__ == "__main__":
    Base.metadata.create_all(engine)
    if sys.argv[1:] == ["relay"]:
        while True:
            if not relay():
                time.sleep(0.5)
    print(buy(3))
