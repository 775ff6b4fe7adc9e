"""Each chart's drawing. `draw` takes the data of any of them."""
