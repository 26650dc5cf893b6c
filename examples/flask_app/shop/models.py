"""The tables."""

from sqlalchemy.orm import Mapped, mapped_column

from .extensions import db


class Order(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    product: Mapped[str]
    quantity: Mapped[int]
    total: Mapped[int | None]
