"""Methods: each file is one paper's training step."""
