"""Bytes out: charts as SVG, PNG and PDF, the head-office report, workbooks. Drawn in a worker process, away from the loop."""

from reportlab import rl_config

rl_config.shapeChecking = 0
"""reportlab checks every attribute of every shape: a sixth of a chart's time. Read when its shapes are imported, hence here."""
