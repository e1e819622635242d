# Supervised training on the source alone.
model = dict(type='SourceOnly')
