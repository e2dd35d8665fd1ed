"""The OpenAPI document of the routes that are mounted, and the page that shows it."""
