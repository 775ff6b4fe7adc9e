"""Where Fabric looks for `fab production deploy` and the others; the tasks are in deploy/fabfile.py."""

from deploy.fabfile import deploy, development, production, rollback, status, targets

__all__ = ["deploy", "development", "production", "rollback", "status", "targets"]
