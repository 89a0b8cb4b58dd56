"""Put the app together."""

import os

from flask import Flask

from . import examples
from .config import from_environment
from .database import prepare
from .extensions import db, manager
from .site import site


def create_app():
    instance = os.environ.get("INSTANCE_PATH")
    app = Flask(__name__, template_folder="../templates", instance_path=instance)
    app.config.from_mapping(from_environment(app.instance_path))
    db.init_app(app)
    manager.init_app(app)
    app.register_blueprint(site)
    app.register_blueprint(examples.pages)
    prepare(app)
    return app
