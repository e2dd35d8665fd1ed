"""The standalone application: defaults, settings, database, routes, from top to bottom."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from .config import Settings
from .errors import InvalidValue
from .extension import LogService
from .folders import make_private
from .store import opening
from .web import standalone


def create_app(config: Mapping[str, Any] | None = None, *, instance_path: str | None = None) -> Flask:
    """Return the whole service as an application.

    `config` overrides the environment, which overrides the defaults of `Settings`. The instance folder is
    `instance_path`, else LOGSERVICE_INSTANCE_PATH, else `instance` in the current folder. Raises
    InvalidValue for a setting that cannot be read.
    """
    app = Flask(__name__, instance_path=str(_instance_path(instance_path)), static_folder=None)
    app.config.from_mapping(config or {})
    settings = Settings.load(app.config)
    app.config.update(settings.as_config())

    _make_folder(Path(app.instance_path))
    database = opening.sql_settings(
        settings.database_url, settings.meta_url, app.instance_path, waiting_time=settings.waiting_time
    )
    app.config["SQLALCHEMY_DATABASE_URI"] = database.pop("url")
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = database
    db = SQLAlchemy()
    db.init_app(app)

    with app.app_context():
        LogService(
            app,
            engine=db.engine,
            ingest="/api/ingest",
            protocols="",
            data="/api/data",
            page="",
            metrics="/metrics",
            docs="",
        )
    standalone.init_app(app)
    return app


def _instance_path(given: str | None) -> Path:
    path = Path(given or os.environ.get("LOGSERVICE_INSTANCE_PATH") or "instance")
    try:
        # Where no shell has done it, as in a unit of systemd or an environment file.
        return path.expanduser().absolute()
    except RuntimeError as error:
        raise InvalidValue(f"LOGSERVICE_INSTANCE_PATH: {str(path)!r}: {error}".rstrip(".")) from None


def _make_folder(path: Path) -> None:
    try:
        make_private(path)
    except FileExistsError:
        raise InvalidValue(f"LOGSERVICE_INSTANCE_PATH: {str(path)!r} is a file, not a folder") from None
    except OSError as error:
        raise InvalidValue(
            f"LOGSERVICE_INSTANCE_PATH: {str(path)!r} cannot be made ({error.strerror})"
        ) from None
