"""The application: `create_app` makes it for the web server, for `flask …` and for the worker alike."""

from flask import Flask
from flask.typing import ResponseReturnValue
from taskflow.contrib.flask import FlaskTaskFlow
from taskflow.errors import BrokerUnavailable

taskflow = FlaskTaskFlow()


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["TASKFLOW"] = {"retention": 3600}  # seconds that results are kept
    app.config.from_prefixed_env()
    taskflow.init_app(app)

    from .views import views  # brings the tasks

    app.register_blueprint(views)

    @app.errorhandler(BrokerUnavailable)
    def broker_is_away(error: BrokerUnavailable) -> ResponseReturnValue:
        return {"error": "try again later"}, 503

    return app
