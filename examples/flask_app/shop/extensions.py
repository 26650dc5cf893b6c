"""What the application is extended by. `create_app` binds each to it."""

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase

from taskflow.contrib.flask import FlaskTaskFlow


class Base(DeclarativeBase): ...


db = SQLAlchemy(model_class=Base)
taskflow = FlaskTaskFlow()
