"""HTTP, the same way in every service: a route table that checks what comes in, problems, tokens, probes, documents, pages."""
