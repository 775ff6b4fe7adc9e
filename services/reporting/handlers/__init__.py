"""The use-cases of reporting: folding what is read, keeping reference data, answering with figures, files and charts."""
