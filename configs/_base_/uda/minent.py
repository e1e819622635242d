# MinEnt: entropy minimisation on the target.
model = dict(type='MinEnt', weight=0.001)
