"""Bytes out: charts as SVG, PNG and PDF, the head-office report, workbooks. Drawn in a worker process, away from the loop."""
