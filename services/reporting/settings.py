"""What reporting reads from the environment."""

from pathlib import Path

from pydantic import Field, model_validator

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
    reporting_timer: bool = Field(default=True, description="Whether the service runs due jobs by itself")
    reporting_retention_months: int = Field(default=0, ge=0, description="Months of the ledger that are kept; 0 keeps all")
    reporting_folder: Path | None = Field(default=None, description="Folder for scheduled reports")
    reporting_s3_endpoint: str | None = Field(
        default=None, pattern=r"^https?://", description="S3-compatible store for reports"
    )
    reporting_s3_bucket: str | None = Field(default=None, description="Its bucket")
    reporting_s3_region: str = Field(default="us-east-1", description="Its region")
    reporting_s3_access_key: str | None = Field(default=None, description="Access key")
    reporting_s3_secret: str | None = Field(default=None, description="Secret of the access key")
    reporting_smtp_url: str | None = Field(default=None, pattern=r"^smtps?://", description="smtp://user:password@host:port")
    reporting_mail_from: str = Field(default="reports@counterfoil.invalid", description="Sender of reports")
    reporting_mail_to: str | None = Field(default=None, description="Recipients of reports, separated by commas")

    @model_validator(mode="after")
    def _whole(self) -> "ReportingSettings":
        if self.reporting_s3_endpoint and not (
            self.reporting_s3_bucket and self.reporting_s3_access_key and self.reporting_s3_secret
        ):
            message = "REPORTING_S3_ENDPOINT needs REPORTING_S3_BUCKET, REPORTING_S3_ACCESS_KEY and REPORTING_S3_SECRET"
            raise ValueError(message)
        if self.reporting_smtp_url and not self.reporting_mail_to:
            message = "REPORTING_SMTP_URL needs REPORTING_MAIL_TO"
            raise ValueError(message)
        return self
