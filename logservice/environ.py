"""Names in the WSGI environment, under which the application tells the server's log what it alone knows."""

#: The id of the request, the pattern of its route, and the address of the client behind trusted proxies.
REQUEST_ID, ROUTE, CLIENT = "logservice.request_id", "logservice.route", "logservice.client"
