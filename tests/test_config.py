"""Settings: which are known, and what is said of those that cannot be read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import make_url

from logservice import config, create_app, misspelt
from logservice.config import Serving, Settings
from logservice.errors import InvalidValue
from logservice.extension import LogService
from tests.documents import ROOT


def test_settings_do_not_show_what_is_secret() -> None:
    settings = Settings(database_url="postgresql://log:a-password@db/log", metrics_token="a-token")
    assert "a-password" not in repr(settings)
    assert "a-token" not in repr(settings)


NAME = "LOGSERVICE_METRICS_TOKEN"


@pytest.mark.parametrize(
    ("given", "read"),
    [(" a-token-of-sixteen\n", "a-token-of-sixteen"), ("x" * 16, "x" * 16), ("", ""), (" ", "")],
)
def test_a_token_is_read_without_what_surrounds_it(given: str, read: str) -> None:
    assert Settings.load({}, {NAME: given}).metrics_token == read


@pytest.mark.parametrize(
    "given", ["x", "x" * 15, " " + "x" * 15, "令牌" * 16, "é" * 16, "two words of some length"]
)
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused_and_not_repeated(given: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        Settings.load({NAME: given}, {})
    assert str(refused.value) == (
        f"{NAME}: what is given is not a token of at least 16 characters of ASCII, without blanks"
    )


#: A value that cannot be read of each setting that not every text is a value of, and what is said of it.
WRONG = {
    "DATABASE_URL": ("logs", "'logs' is no database URL such as sqlite:///logservice.db"),
    "AUTO_CREATE": ("maybe", "'maybe' is neither 1 nor 0"),
    "WAITING_TIME": ("-1", "'-1' is not a number above 0"),
    "MAX_BODY": ("much", "'much' is not a size such as"),
    "QUOTA_PER_UNIT": ("nan", "'nan' is not a number above 0"),
    "TOKEN_LOG_LIMIT": ("0", "'0' is not a whole number from 1"),
    "TOKEN_RATE_LIMIT": ("often", "'often' is neither off nor 1 or more per second"),
    "RATE_LIMIT_FILE": ("/", "'/' is a folder, not a file"),
    "TRUSTED_PROXIES": ("nginx", "'nginx' is no address, network or 'unix'"),
    "CORS_ORIGINS": ("app.example", "'app.example', which is no origin such as https://app.example"),
    "RETENTION": ("90d", "'90d' is not of the form consume=90d"),
    "MAX_DB_SIZE": ("10", "'10' is less than 1MB"),
    "CPU_AFFINITY": ("2", "'2' is neither 1 nor 0"),
    "METRICS": ("2", "'2' is neither 1 nor 0"),
    "METRICS_TOKEN": ("short", "is not a token of at least 16 characters"),
    "LEGACY_STATUS": ("200", "'200' is neither 1 nor 0"),
    "BIND": ("8123", "'8123' is neither HOST:PORT nor unix:PATH, such as 127.0.0.1:8123"),
    "WORKERS": ("two", "'two' is not a whole number from 1"),
    "THREADS": ("0", "'0' is not a whole number from 1"),
    "CLIENT_TIMEOUT": ("1m", "'1m' is not a whole number from 1"),
    "LOG_LEVEL": ("verbose", "'verbose' is none of debug, info, warning, error, critical"),
    "ACCESS_LOG": ("xml", "'xml' is none of text, json, off"),
}
SERVING = {
    config.setting_name(field).removeprefix(config.PREFIX) for field in Serving.__dataclass_fields__.values()
}
ANY_TEXT = {"CURRENCY", "INSTANCE_PATH", "META_URL", "CLICKHOUSE_CLUSTER"}


def test_every_setting_has_values_that_it_refuses_but_those_that_take_any_text() -> None:
    settings = {config.setting_name(field) for field in Settings.__dataclass_fields__.values()}
    known = SERVING | {name.removeprefix(config.PREFIX) for name in settings}
    assert WRONG.keys() == known - ANY_TEXT


def test_the_url_of_metadata_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    urls = {"LOGSERVICE_DATABASE_URL": "clickhouse://db/logs", "LOGSERVICE_META_URL": "mysql://db/logs"}
    with pytest.raises(InvalidValue, match="LOGSERVICE_META_URL: no support for 'mysql'"):
        create_app(urls, instance_path=str(tmp_path))


@pytest.mark.parametrize("name", WRONG)
def test_a_setting_that_cannot_be_read_refuses_to_start_and_says_why(name: str, tmp_path: Path) -> None:
    value, reason = WRONG[name]
    host = Flask("host", instance_path=str(tmp_path))
    host.config[f"LOGSERVICE_{name}"] = value
    with pytest.raises(InvalidValue) as refused:
        Serving.load(host.config) if name in SERVING else LogService(host)
    assert str(refused.value).startswith(f"LOGSERVICE_{name}: ")
    assert reason in str(refused.value)


def test_an_instance_folder_that_cannot_be_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    for path, reason in (
        (file, "is a file, not a folder"),
        (file / "below", "cannot be made (Not a directory)"),
    ):
        monkeypatch.setenv("LOGSERVICE_INSTANCE_PATH", str(path))
        with pytest.raises(InvalidValue, match=r"^LOGSERVICE_INSTANCE_PATH: ") as refused:
            create_app()
        assert reason in str(refused.value)


def test_the_instance_folder_may_lie_in_a_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOGSERVICE_INSTANCE_PATH", "~/log")
    assert create_app().instance_path == str(tmp_path / "log")
    monkeypatch.setenv("LOGSERVICE_INSTANCE_PATH", "~nobody-of-this-name/log")
    with pytest.raises(InvalidValue, match=r"^LOGSERVICE_INSTANCE_PATH: '~nobody-of-this-name/log': "):
        create_app()


@pytest.mark.parametrize("name", ["LOG_LEVEL", "BIND", "MAX_BODY"])
def test_gunicorn_is_not_started_with_a_setting_that_cannot_be_read(name: str) -> None:
    value, reason = WRONG[name]
    command = [sys.executable, "-c", "import logservice.gunicorn_conf"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), f"LOGSERVICE_{name}": value}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"LOGSERVICE_{name}: {reason}")


@pytest.mark.parametrize("name", ["DATABASE_URL", "RETENTION"])
def test_gunicorn_says_once_what_the_application_refuses(name: str, tmp_path: Path) -> None:
    value, reason = WRONG[name]
    command = [sys.executable, "-m", "gunicorn", "--config", "python:logservice.gunicorn_conf"]
    done = subprocess.run(
        [*command, "--bind", f"unix:{tmp_path / 'socket'}", "logservice.app:create_app()"],
        env={**os.environ, "LOGSERVICE_INSTANCE_PATH": str(tmp_path), f"LOGSERVICE_{name}": value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr.count(f"LOGSERVICE_{name}: {reason}") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", sorted(SERVING))
def test_an_empty_setting_of_the_server_is_its_default(name: str) -> None:
    assert Serving.load({f"LOGSERVICE_{name}": " "}) == Serving()


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (True, True),
        (["https://a.example", "https://b.example"], ("https://a.example", "https://b.example")),
        ({"https://a.example"}, ("https://a.example",)),
        (make_url("postgresql://log:a-word@db/log"), "postgresql://log:a-word@db/log"),
    ],
    ids=str,
)
def test_an_application_may_give_what_is_no_text(given: Any, read: Any) -> None:
    name = {bool: "METRICS", str: "DATABASE_URL", tuple: "CORS_ORIGINS"}[type(read)]
    assert getattr(Settings.load({f"LOGSERVICE_{name}": given}, {}), name.lower()) == read


# -- names that are none -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RETENTON", "RETENTION"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("CORS_ORIGIN", "CORS_ORIGINS"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
        ("WORKER", "WORKERS"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("retention", "RETENTION"),
    ],
)
def test_a_misspelt_setting_is_told_with_the_nearest_one(name: str, meant: str) -> None:
    assert list(misspelt.complaints({f"LOGSERVICE_{name}": "a-secret"})) == [
        f"LOGSERVICE_{name} is no setting, and has no effect; did you mean LOGSERVICE_{meant}?"
    ]


def test_what_is_like_no_setting_is_told_without_a_guess() -> None:
    assert list(misspelt.complaints({"LOGSERVICE_XYZZY": "1", "LOGSERVICE_PORT": "9000"})) == [
        "LOGSERVICE_PORT is no setting, and has no effect",
        "LOGSERVICE_XYZZY is no setting, and has no effect",
    ]


@pytest.mark.parametrize(
    "name",
    [
        *(f"LOGSERVICE_{name}" for name in [*WRONG, *sorted(ANY_TEXT)]),
        *("LOGSERVICE_TOKEN", "LOGSERVICE_URL", "LOGSERVICE_TEST_KILLS"),
        # Kubernetes and Docker set these for a service that is called like us.
        *("LOGSERVICE_SERVICE_HOST", "LOGSERVICE_SERVICE_PORT_HTTP", "LOGSERVICE_PORT_8000_TCP_ADDR"),
        *("LOGSERVICE_PORT", "SQLALCHEMY_DATABASE_URI", "logservice_retention"),
    ],
)
def test_settings_and_what_others_set_are_not_complained_of(name: str) -> None:
    assert list(misspelt.complaints({name: "tcp://10.0.0.1:8000"})) == []


def test_an_application_warns_of_names_that_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LOGSERVICE_RETENTON", "consume=1d")
    host = Flask("host", instance_path=str(tmp_path))
    host.config["LOGSERVICE_MAX_BDY"] = "1MB"
    LogService(host)
    assert [record.getMessage().partition(" ")[0] for record in caplog.records] == [
        "LOGSERVICE_MAX_BDY",
        "LOGSERVICE_RETENTON",
    ]


# -- URLs of databases -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("/tmp/x.db", "'/tmp/x.db' is no database URL such as sqlite:////tmp/x.db"),
        ("x.db", "'x.db' is no database URL such as sqlite:///x.db"),
        ("", "'' is no database URL such as sqlite:///logservice.db or postgresql://user:password@host/"),
        ("sqlite:x.db", "'sqlite:x.db' is no database URL such as sqlite:///"),
        ("sqlite://x.db", "'sqlite://x.db' names a host, and SQLite has none: three slashes"),
        ("sqlite://tmp/x.db", "'sqlite://tmp/x.db' names a host"),
        ("sqlite://", "SQLite needs a file, such as sqlite:///logservice.db"),
        ("mysql://log:a-word@db/log", "no support for 'mysql'; a URL begins with sqlite or postgresql"),
        ("postgresql://log:a-word@db:port/log", "'postgresql://...' is no database URL such as"),
        ("postgresql://log:a-wo@rd@db:port/log", "'postgresql://...' is no database URL"),
        ("postgresql://db:port/log?password=a-word", "'postgresql://...' is no database URL"),
        ("postgresql://log:b@db:port/log?sslkey=a-word@here", "'postgresql://...' is no database URL"),
        ("log:a-word@db/log", "'...@db/log' is no database URL"),
        ("host=db password=a-word", "what is given is no database URL"),
    ],
)
def test_a_database_url_that_is_none_is_told_without_its_password(
    url: str, said: str, tmp_path: Path
) -> None:
    host = Flask("host", instance_path=str(tmp_path))
    host.config["LOGSERVICE_DATABASE_URL"] = url
    with pytest.raises(InvalidValue) as refused:
        LogService(host)
    assert str(refused.value).startswith(f"LOGSERVICE_DATABASE_URL: {said}")
    assert "a-wo" not in str(refused.value)
