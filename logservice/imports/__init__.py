"""Moving in: logs of gateways and files, taken over in steps that can be interrupted and taken up again."""
