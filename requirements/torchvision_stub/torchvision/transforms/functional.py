"""Stand-in: without transforms; mmpretrain's own work on arrays."""
