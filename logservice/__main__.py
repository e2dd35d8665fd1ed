"""The `logservice` program: the commands on the standalone application. Also `python -m logservice`."""

from __future__ import annotations

import sys
from importlib import import_module


def main() -> None:
    """Run the command that the arguments of the process name."""
    try:
        # Loaded only now, which takes a second: whoever presses Ctrl-C in it gets no traceback either.
        create_app = import_module(".app", __package__).create_app
        script = import_module("flask.cli").ScriptInfo(create_app=create_app)
        import_module(".cli", __package__).logservice.main(prog_name="logservice", obj=script)
    except KeyboardInterrupt:
        sys.stderr.write("Aborted.\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
