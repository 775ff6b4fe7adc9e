"""`python -m services.reporting` runs the service until it is told to end."""

from services.reporting.app import ReportingSettings, running
from shared.lifecycle import run_service

if __name__ == "__main__":
    run_service("reporting", ReportingSettings, running)
