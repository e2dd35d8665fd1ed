"""What is needed beyond the plain installation, and how to get it.

The name `logservice` on PyPI is another project's, so no message may tell people to install that.
"""

from __future__ import annotations

#: The extras of setup.cfg, and what they bring.
EXTRAS = {
    "postgres": "psycopg[binary,pool]>=3.2.1",
    "mysql": "pymysql[rsa]>=1.1",
    "otlp": "opentelemetry-proto>=1.27",
    "archive": "pyarrow>=21",
    "clickhouse": "clickhouse-connect>=1.3",
    "test-clickhouse": "clickhouse-connect[chdb]>=1.3",
}


def how_to_install(extra: str) -> str:
    """Return what brings an extra, from a checkout or without one."""
    return f"`pip install '{EXTRAS[extra]}'`, or `pip install '.[{extra}]'` in a checkout of logservice"
