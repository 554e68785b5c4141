"""Stand-in: without box operators, which no classifier needs."""
