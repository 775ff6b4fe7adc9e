"""Ranking over HTTP: the route table, boards, certificates, and the pages for stores."""
