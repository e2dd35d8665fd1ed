"""The HTTP floor: Flask, no SQL."""
