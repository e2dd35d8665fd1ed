"""The log on ClickHouse: the same verbs, for rows beyond what one machine holds.

Rows alone lie there. Who may see them, answers kept by Idempotency-Key, marks and the usage of purged rows
lie in a small SQL database, the metadata, and are the business of the store that this one extends.
"""
