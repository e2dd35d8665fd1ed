"""Archives are tried on every engine, with the stores that the tests of the store use."""

from tests.store.conftest import open_store, store

__all__ = ["open_store", "store"]
