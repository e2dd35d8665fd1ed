"""A Flask application with a login of its own, and the log mounted in it.

FLASK_SECRET_KEY=$(openssl rand -hex 16) flask --app examples/embed/app.py run --debug
"""

from flask import Flask, Request, session

from logservice import LogService, Principal

app = Flask(__name__)
app.config.from_prefixed_env()


@app.post("/login/<name>")
def login(name: str) -> str:
    """Stand in for your own login, which asks for a password."""
    session.update(user_id=len(name), name=name, role="admin" if name == "root" else "user")
    return f"Hello {name}"


def who(_: Request) -> Principal | None:
    """Tell the log who is calling: what your login knows, in one line."""
    return Principal(session["user_id"], session["name"], session["role"]) if "name" in session else None


LogService(app, authenticate=who)
