"""Databases of foreign gateways, made by the tests: real column sets, invented people, seeded rows."""
