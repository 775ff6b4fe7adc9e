"""What reporting knows: how outcomes add up, periods in a campaign's zone, and the figures that charts are drawn from."""
