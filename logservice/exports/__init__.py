"""Rows on their way out: as lines of JSON, as CSV, as Parquet, and the files they go into."""
