"""The command ``mmseg-uda VERB``: a module a verb. Importing one imports nothing heavy."""
