"""An archive: a folder of Parquet files, one a day, that rows move into and come back from."""
