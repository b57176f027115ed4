"""How a goal in words is read: quoting, names of data and networks, bounds, wishes."""
