"""Picked up by `gunicorn wsgi:app` in this folder, so that it runs with the defaults of `logservice serve`.

The settings themselves are in the package, because an installed `logservice` has no such folder. To differ,
assign a name below the import.
"""

from logservice.gunicorn_conf import *
