"""What a service does when it is offered more than it can do: python -m benchmarks.overload URL TOKEN

It is asked by clients who wait for their answers, which tells what it can do, and then offered that many
times over, by clients who do not wait. TOKEN is an administrator's access token. Events are posted: use a log
that may be thrown away.
"""

from __future__ import annotations

import secrets
import time
from urllib.parse import urlsplit

import click

from .mixture import mixture
from .offering import Offered, Request, ask, offer

#: Clients enough to keep the workers busy, and none of them waits for a thread.
CONNECTIONS = 16


def capacity(port: int, access_token: str, *, seconds: float, connections: int = CONNECTIONS) -> Offered:
    """Return what came of clients who each wait for their answer."""
    wanted = mixture(access_token, now=int(time.time()), mark=f"calm-{secrets.token_hex(4)}")
    return ask(port, wanted, connections=connections, seconds=seconds)


def overload(port: int, access_token: str, *, rate: float, seconds: float) -> Offered:
    """Return what came of so many requests a second."""
    wanted = mixture(access_token, now=int(time.time()), mark=f"storm-{secrets.token_hex(4)}")
    return offer(port, wanted, rate=rate, seconds=seconds)


def first_success(port: int, request: Request, *, patience: float = 30) -> float:
    """Return after how many seconds the service serves again, asked a few times a second."""
    begun = time.perf_counter()
    while True:
        if ask(port, [request] * 1000, connections=1, seconds=0.05).statuses()[200]:
            return time.perf_counter() - begun
        if time.perf_counter() - begun > patience:
            raise TimeoutError(f"nothing was served within {patience:g} seconds")
        time.sleep(0.2)


@click.command()
@click.argument("url")
@click.argument("token")
@click.option("--seconds", default=20.0, show_default=True)
@click.option("--times", default=2.0, show_default=True, help="How many times what it can do is offered.")
def main(url: str, token: str, seconds: float, times: float) -> None:
    """Measure what the service at URL, on this machine, can do, and offer it more."""
    port = urlsplit(url).port or 80
    calm = capacity(port, token, seconds=seconds)
    rate = len(calm.answers) / calm.seconds
    _show(f"{CONNECTIONS} clients who wait: {rate:,.0f} requests/s", calm)
    storm = overload(port, token, rate=times * rate, seconds=seconds)
    _show(f"{times:g} times as many, {times * rate:,.0f} requests/s, whoever waits", storm)
    untold = sum(one.status == 503 and not one.retry_after for one in storm.answers)
    click.echo(f"refusals without Retry-After: {untold}")
    request = next(one for one in mixture(token, now=int(time.time()), mark="after") if one.kind == "read")
    click.echo(f"served again after {first_success(port, request):.2f} s")


def _show(title: str, found: Offered) -> None:
    click.echo(f"{title}; at most {found.most:,} under way at once")
    for line in found.described():
        click.echo(f"  {line}")


if __name__ == "__main__":
    main()
