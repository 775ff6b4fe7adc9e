"""What the parts of Counterfoil say to each other: topics, events and how they are read and written.

One module a producer. Every event has an example under `examples/<event>/v1/`, read and written again by a test.
This package is values only: it opens no connection and knows no service.
"""
