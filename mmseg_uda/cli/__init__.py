"""The command ``mmseg-uda VERB``: one module per verb; importing it imports nothing heavy."""
