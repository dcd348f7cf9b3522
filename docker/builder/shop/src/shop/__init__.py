"""A shop of three goods, served by Python's own HTTP server."""
