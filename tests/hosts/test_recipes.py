"""The recipes of docs/embedding.md, as they stand there, with the real libraries."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask, session
from flask_httpauth import HTTPBasicAuth, HTTPTokenAuth
from flask_login import LoginManager, UserMixin, login_user
from flask_sqlalchemy import SQLAlchemy

from logservice import LogService, Principal, current_logs
from tests.answers import assert_error, assert_ok
from tests.hosts.conftest import MakeHost
from tests.rows import contents

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "embedding.md").read_text()


def blocks(heading: str, page: str = PAGE) -> list[str]:
    """Return the Python below a heading, up to the next one."""
    below = re.split(r"^##+ ", page, flags=re.MULTILINE)
    [found] = [part for part in below if part.startswith(f"{heading}\n")]
    return re.findall(r"```python\n(.*?)```", found, flags=re.DOTALL)


def run(code: str, **given: Any) -> dict[str, Any]:
    """Run a block with what its reader has, and return what it made."""
    namespace = {
        "__name__": "host",
        "LogService": LogService,
        "Principal": Principal,
        "Flask": Flask,
        **given,
    }
    exec(compile(code, "docs/embedding.md", "exec"), namespace)
    return namespace


def headers_of(name: str, password: str) -> dict[str, Any]:
    return {"auth": (name, password)}


def test_mounting(tmp_path: Path) -> None:
    [code] = blocks("Mounting")
    made = run(code, Flask=lambda name: Flask(name, instance_path=str(tmp_path)))
    app = made["create_app"]()
    app.secret_key = "of the test"
    app.add_url_rule(
        "/in", "sign_in", lambda: session.update(user={"id": 7, "name": "alice", "is_admin": True}) or "in"
    )
    client = app.test_client()
    assert_error(client.get("/usage/"), 401, "")
    client.get("/in")
    assert assert_ok(client.get("/usage/"))["total"] == 0
    assert client.get("/usage/page").status_code == 200
    app.extensions["logservice"].store.close()


class Member(UserMixin):
    """A user as Flask-Login wants one, with a name and a rank."""

    def __init__(self, user_id: int, name: str, *, is_admin: bool) -> None:
        self.id, self.name, self.is_admin = user_id, name, is_admin


MEMBERS = {7: Member(7, "alice", is_admin=False), 1: Member(1, "root", is_admin=True)}


def test_flask_login(make_host: MakeHost) -> None:
    host = make_host(SECRET_KEY="of the test")
    manager = LoginManager(host)
    manager.user_loader(lambda user_id: MEMBERS.get(int(user_id)))
    host.add_url_rule("/in/<int:user_id>", "sign_in", lambda user_id: str(login_user(MEMBERS[user_id])))
    [code] = blocks("Flask-Login")
    run(code, app=host)
    alice, root = host.test_client(), host.test_client()
    assert_error(alice.get("/usage/self"), 401, "")
    alice.get("/in/7")
    root.get("/in/1")
    with host.app_context():
        for user_id in (1, 7):
            current_logs.record(user_id=user_id, content=f"of {user_id}")
    assert contents(assert_ok(alice.get("/usage/self"))["items"]) == ["of 7"]
    assert_error(alice.get("/usage/"), 403, "admin")
    assert assert_ok(root.get("/usage/"))["total"] == 2


@pytest.fixture
def members() -> dict[str, Member]:
    """Whom a secret stands for."""
    return {"alice-secret": MEMBERS[7], "root-secret": MEMBERS[1]}


def test_flask_httpauth_with_tokens(host: Flask, members: dict[str, Member]) -> None:
    auth = HTTPTokenAuth()
    auth.verify_token(members.get)
    run(blocks("Flask-HTTPAuth")[0], app=host, auth=auth)
    client = host.test_client()

    def ask(path: str, token: str) -> Any:
        return client.get(path, headers={"Authorization": f"Bearer {token}"})

    assert_ok(ask("/usage/self", "alice-secret"))
    assert_error(ask("/usage/", "alice-secret"), 403, "admin")
    assert_ok(ask("/usage/", "root-secret"))
    assert_error(ask("/usage/", "nobody-secret"), 401, "")
    assert client.get("/usage/").headers["WWW-Authenticate"] == "Bearer"


def test_flask_httpauth_with_passwords(host: Flask, members: dict[str, Member]) -> None:
    auth = HTTPBasicAuth(realm="the host")
    auth.verify_password(lambda name, password: members.get(password))
    made = run(blocks("Flask-HTTPAuth")[1], app=host, auth=auth)
    LogService(host, authenticate=made["who_is_asking"])
    client = host.test_client()
    assert_ok(client.get("/api/log/", auth=("root", "root-secret")))
    for refused in (client.get("/api/log/"), client.get("/api/log/", auth=("root", "wrong"))):
        assert_error(refused, 401, "")
        assert refused.headers.getlist("WWW-Authenticate") == ['Basic realm="the host"']


def test_api_keys_of_ones_own(make_host: MakeHost) -> None:
    host, db = make_host(SQLALCHEMY_DATABASE_URI="sqlite://"), SQLAlchemy()

    class ApiKey(db.Model):  # type: ignore[name-defined, misc]  # made at run time
        id = db.Column(db.Integer, primary_key=True)
        hash = db.Column(db.String)
        is_active = db.Column(db.Boolean)

    db.init_app(host)
    [code] = blocks("API keys of your own")
    made = run(code, app=host, ApiKey=ApiKey, who_is_asking=lambda _: None)
    with host.app_context():
        db.create_all()
        digest = made["sha256"](b"sk-laptop").hexdigest()
        db.session.add(ApiKey(id=11, hash=digest, is_active=True))
        db.session.commit()
        current_logs.record(token_id=11, content="by the laptop")
        current_logs.record(token_id=12, content="by another")
    client = host.test_client()
    assert contents(assert_ok(client.get("/usage/token?key=sk-laptop"))) == ["by the laptop"]
    with host.app_context():
        db.session.get(ApiKey, 11).is_active = False
        db.session.commit()
    assert_error(client.get("/usage/token?key=sk-laptop"), 200, "Token")


def test_a_bind(tmp_path: Path) -> None:
    code, _ = blocks("Where the log lies")
    given = {"SQLAlchemy": SQLAlchemy, "who_is_asking": lambda _: Principal(1, "root", "admin")}
    made = run(code, Flask=lambda name: Flask(name, instance_path=str(tmp_path)), **given)
    app = made["create_app"]()
    assert assert_ok(app.test_client().get("/api/log/"))["total"] == 0
    app.extensions["logservice"].store.close()
    assert [path.name for path in tmp_path.glob("*.db")] == ["logs.db"]


def test_recording_in_tasks_and_threads(host: Flask) -> None:
    LogService(host, authenticate=lambda _: Principal(1, "root", "admin"))
    first, later = blocks("Recording")
    with host.app_context():
        run(first)
    threads: list[threading.Thread] = []

    def keep(**given: Any) -> threading.Thread:
        threads.append(threading.Thread(**given))
        return threads[-1]

    made = run(
        later,
        app=host,
        celery=SimpleNamespace(task=lambda function: function),
        threading=SimpleNamespace(Thread=keep),
        current_logs=current_logs,
    )
    made["summarise"]("a text")
    host.add_url_rule("/", "view", made["view"])
    client = host.test_client()
    assert client.get("/").text == "soon"
    threads[0].join()
    assert assert_ok(client.get("/api/log/"))["total"] == 3


# -- migrations --------------------------------------------------------------------------------------------

MIGRATING = """
import sys
from flask import Flask
from flask_migrate import Migrate, init, migrate
from flask_sqlalchemy import SQLAlchemy
from logservice import LogService, current_logs

folder, url, recipe = sys.argv[1:]
app, db = Flask("host", instance_path=folder), SQLAlchemy()
app.config["SQLALCHEMY_DATABASE_URI"] = url


class Order(db.Model):
    id = db.Column(db.Integer, primary_key=True)


db.init_app(app)
LogService(app, db=db)
exec(recipe)
with app.app_context():
    current_logs.record(content="the tables are there")
    init(folder + "/migrations")
    migrate(folder + "/migrations")
"""


def test_migrations_of_the_host_create_its_own_tables_and_drop_none_of_the_logs(
    tmp_path: Path, new_databases: Callable[[], str]
) -> None:
    [recipe] = blocks("Migrations of your own")
    done = subprocess.run(
        [sys.executable, "-c", MIGRATING, str(tmp_path), new_databases(), recipe],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [script] = (tmp_path / "migrations" / "versions").glob("*.py")
    assert "create_table('order'" in script.read_text()
    assert "log_" not in script.read_text()


def test_alembic_compares_a_table_of_the_host_that_is_called_like_one_of_ours(
    make_host: MakeHost, new_databases: Callable[[], str]
) -> None:
    host, db = make_host(SQLALCHEMY_DATABASE_URI=new_databases()), SQLAlchemy()
    db.init_app(host)
    LogService(host, db=db)
    [recipe] = blocks("Migrations of your own")
    made = run(recipe, app=host, db=db, Migrate=lambda *_args, **_options: None)
    with host.app_context():
        current_logs.record(content="the tables are there")
        db.Table("log_books", db.Column("id", db.Integer, primary_key=True))
        with db.engine.connect() as connection:
            options = {"include_name": made["is_not_of_the_log"]}
            context = MigrationContext.configure(connection, opts=options)
            [(verb, table)] = compare_metadata(context, db.metadata)
            without_index = MigrationContext.configure(connection)
            dropped = [
                change
                for change in compare_metadata(without_index, db.metadata)
                if change[0] == "remove_table"
            ]
        db.engine.dispose()
    assert (verb, table.name) == ("add_table", "log_books")
    assert "log_records" in {change[1].name for change in dropped}
