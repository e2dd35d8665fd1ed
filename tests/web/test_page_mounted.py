"""The page in an application of somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from logservice import LogService, Principal
from tests.page_urls import attribute, leads, loaded


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Flask]:
    """An application of somebody else, which shows the page to everybody as an administrator."""
    host = Flask("host", instance_path=str(tmp_path))
    LogService(
        host, authenticate=lambda _: Principal(1, "root", "admin"), url_prefix="/usage", page="/usage/page"
    )
    yield host
    host.extensions["logservice"].store.close()


@pytest.mark.parametrize("path", ["/usage/page", "/usage/page/"])
def test_in_a_host_all_urls_of_the_page_lead_to_it_and_to_the_log(host: Flask, path: str) -> None:
    client = host.test_client()
    html = client.get(path).text
    assert leads(path, attribute(html, "data-api")) == "/usage"
    assert leads(path, attribute(html, "data-user")) == "/usage/page/api/user/self"
    assert all(client.get(leads(path, name)).status_code == 200 for name in loaded(html))
    assert attribute(html, "data-login") == "host"


def test_a_host_has_no_page_unless_it_says_so(tmp_path: Path) -> None:
    host = Flask("host", instance_path=str(tmp_path))
    service = LogService(host)
    assert service is not None
    assert not [rule.rule for rule in host.url_map.iter_rules() if "page" in rule.endpoint]
    host.extensions["logservice"].store.close()
