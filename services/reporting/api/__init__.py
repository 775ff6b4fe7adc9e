"""What reporting answers by HTTP: figures, files, charts and pages."""
