"""What methods and add-ons are made of: teacher, pseudo-labels, mixing, statistics, losses."""
