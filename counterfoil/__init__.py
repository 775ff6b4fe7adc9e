"""The command line: `counterfoil …`. Speaks to the services over HTTP, or runs a part of one for an operator."""
