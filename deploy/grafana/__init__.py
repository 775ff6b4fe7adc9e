"""Grafana as code: where its data comes from, and the dashboards."""
