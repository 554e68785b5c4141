"""Studies: many short trainings, what they measure, and the tables of them; what tools/study does."""
