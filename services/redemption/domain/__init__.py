"""The rules of redeeming: what is decided of a request, given what is known. No I/O, no clock, no randomness."""
