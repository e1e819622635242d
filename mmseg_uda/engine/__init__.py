"""Training and testing: runner with exact resume, config, optimisers, schedules, hooks."""
