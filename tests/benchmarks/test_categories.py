from benchmarks.categories import make_problem, measure_categories


def test_both_formulations_compute_the_same(float64):
    problem = make_problem((4, 6), slots=3, channels=8, images=2, device='cpu')
    costs, loss, gradient = measure_categories(problem, repeats=1)
    assert loss < 1e-9 and gradient < 1e-9
    assert all(cost.seconds > 0 and cost.peak > 0 for cost in costs)
