"""What reporting reads from the environment."""

from pydantic import Field

from shared.environment import ServiceSettings, service_variable


class ReportingSettings(ServiceSettings):
    """Settings of the reporting service; `REPORTING_X` wins over `X` where both are set."""

    database_url: str = service_variable(
        "reporting", "database_url", description="postgresql:// address of the schema reporting"
    )
    host: str = service_variable("reporting", "host", default="127.0.0.1", description="Address to listen on")
    port: int = service_variable(
        "reporting", "port", default=0, ge=0, le=65535, description="Port to listen on; 0 takes a free one"
    )
    reporting_downloads: int = Field(default=6, ge=1, le=100, description="Downloads that may stream at once; more wait")
    reporting_fold_records: int = Field(default=4000, ge=1, le=20_000, description="Outcomes folded in one transaction at most")
