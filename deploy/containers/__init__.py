"""What containers need besides the services: secrets made once, roles and schemas; see `__main__.py`."""
