"""SQLAlchemy: an engine for each child, and a session for each task: committed if that returns, and rolled back if not.

The worker: DATABASE_URL=postgresql+psycopg://… taskflow worker -A sqlalchemy_session
A call:     python sqlalchemy_session.py
"""

import os
from collections.abc import Iterator
from typing import Annotated

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from taskflow import INJECTED, Depends, TaskFlow

app = TaskFlow("shop")


class Base(DeclarativeBase): ...


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    quantity: Mapped[int]
    total: Mapped[int | None]


@app.resource
def engine() -> Iterator[Engine]:
    """Made when the first task needs it; its connections are closed when the child stops."""
    engine = create_engine(os.environ.get("DATABASE_URL", "sqlite:///shop.db"))
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def session(engine: Annotated[Engine, Depends(engine)]) -> Iterator[Session]:
    """A commit that fails is the failure of the task, which is tried again."""
    with Session(engine) as session, session.begin():
        yield session


Db = Annotated[Session, Depends(session)]


@app.task(max_retries=3)
def price(order: int, db: Db = INJECTED) -> None:
    """Called as price.delay(17)."""
    found = db.get_one(Order, order)
    found.total = 7 * found.quantity
    db.flush()
    if found.quantity > 100:
        raise ValueError("nobody eats so many apples")


if __name__ == "__main__":
    with Session(engine.value) as db, db.begin():
        order = Order(quantity=3)
        db.add(order)
        db.flush()
        number = order.id
    print(price.delay(number))
