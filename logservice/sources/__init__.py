"""Foreign event formats, turned into events of our own: one module per producer, no Flask and no SQL."""
