"""The rules of ranking: windows in a campaign's own days, scores, boards and what a row of one says. No I/O, no clock."""
