"""A blog as Flask's tutorial describes one: users who sign up, and posts that everybody reads.

Written from that description, as an application that knows nothing of the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask

from . import auth, blog, database


def create_app(config: Mapping[str, Any] | None = None, *, instance_path: str | None = None) -> Flask:
    """Return the application; its database is `flaskr.sqlite` in the instance folder."""
    app = Flask(__name__, instance_path=instance_path)
    app.config.from_mapping(SECRET_KEY="dev", DATABASE=str(Path(app.instance_path, "flaskr.sqlite")))
    app.config.from_mapping(config or {})
    Path(app.instance_path).mkdir(parents=True, exist_ok=True)
    app.add_url_rule("/hello", "hello", lambda: "Hello, World!")
    database.init_app(app)
    app.register_blueprint(auth.bp)
    app.register_blueprint(blog.bp)
    # The front page of the blog is that of the whole application.
    app.add_url_rule("/", endpoint="index")
    return app
