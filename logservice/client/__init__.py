"""A small client for other processes: records at once, delivers in the background, needs Python alone."""

from .buffer import Counts
from .client import Client
from .limits import Limits

__all__ = ["Client", "Counts", "Limits"]
