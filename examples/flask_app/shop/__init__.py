"""The application: `create_app` makes it for the web server, for `flask …` and for the worker alike."""

from flask import Flask
from flask.typing import ResponseReturnValue

from taskflow.errors import BrokerUnavailable

from .extensions import db, taskflow


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///shop.db"
    app.config["TASKFLOW"] = {"retention": 3600}
    app.config.from_prefixed_env()  # FLASK_TASKFLOW__BROKER=redis://… in production

    db.init_app(app)
    taskflow.init_app(app)

    from .orders import orders  # brings the tasks that its views enqueue

    app.register_blueprint(orders)

    @app.cli.command("init-db")
    def init_db() -> None:
        """Make the tables."""
        db.create_all()

    @app.errorhandler(BrokerUnavailable)
    def broker_is_away(error: BrokerUnavailable) -> ResponseReturnValue:
        return {"error": "try again later"}, 503

    return app
