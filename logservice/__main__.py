"""The `logservice` program: the commands on the standalone application. Also `python -m logservice`."""

from __future__ import annotations

from flask.cli import ScriptInfo

from .app import create_app
from .cli import logservice


def main() -> None:
    """Run the command that the arguments of the process name."""
    logservice.main(prog_name="logservice", obj=ScriptInfo(create_app=create_app))


if __name__ == "__main__":
    main()
