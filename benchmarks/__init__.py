"""How fast the service is, measured against a gateway's own log table: the same rows, in the same run."""
