"""The SQL floor: tables, filters, usage buckets, pages, purge. It knows no Flask."""
