"""Training: mmengine's Runner with exact resume, optimisers, schedules, hooks."""
