"""Domain adaptation: methods (one file a paper), add-ons that join them, and their components."""
