"""`python -m services.reporting` runs the service until it is told to end."""

if __name__ == "__main__":  # imports within: the drawing process imports this module once more, and needs none of them
    from services.reporting.app import ReportingSettings, running
    from shared.lifecycle import run_service

    run_service("reporting", ReportingSettings, running)
