"""The application object for any WSGI server: `gunicorn wsgi:app`."""

from logservice import create_app

app = create_app()
