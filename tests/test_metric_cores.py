"""Cores of metrics on cases worked by hand, and what is mended beside the original's numbers."""

import gin
import numpy as np
import pytest
from metric_cases import (
    GRIDS,
    CachedLookUp,
    IndexGrid,
    LookUp,
    dead_latents,
    factors_themselves,
    linear_mix,
    noisy_factors,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from srvae_plugin.metrics.beta_vae import Differences, beta_vae_score
from srvae_plugin.metrics.codes import CodesAndFactors
from srvae_plugin.metrics.common.aggregation import merges, precision_curve
from srvae_plugin.metrics.downstream_task import check_sizes, compute_downstream_task
from srvae_plugin.metrics.fairness import fairness_scores, inter_group_fairness
from srvae_plugin.metrics.irs import compute_irs, irs
from srvae_plugin.metrics.learners.predictors import Task, predict
from srvae_plugin.metrics.modularity_explicitness import (
    compute_modularity_explicitness,
    explicitness,
    modularity_explicitness,
    modularity_per_latent,
)
from srvae_plugin.metrics.reduced_downstream_task import (
    compute_reduced_downstream_task,
    factorwise_dci,
)
from srvae_plugin.metrics.sap_score import sap
from srvae_plugin.metrics.strong_downstream_task import compute_strong_downstream_task, intervene
from srvae_plugin.metrics.unified_scores import (
    accuracy_svm_matrix,
    compute_unified_scores,
    importance_gbt_matrix,
    mutual_information_matrix,
)
from srvae_plugin.metrics.unsupervised_metrics import (
    gaussian_total_correlation,
    gaussian_wasserstein_correlation,
    unsupervised_metrics,
    wasserstein_by_eigenvalues,
)

TINY = GRIDS["tiny"]
FACTORS = np.argwhere(np.ones(TINY))


def few_points(compute, representation, **settings):
    data = IndexGrid(TINY)
    function = CachedLookUp(representation(TINY), data)
    return compute(data, function, np.random.RandomState(0), **settings)


def test_modularity_of_small_matrices():
    matrix = np.array([[2, 0, 0], [1, 1, 1], [2, 1, 0], [0, 0, 0]], float)
    assert modularity_per_latent(matrix) == pytest.approx([1, 0, 1 - 1 / 8, 0])


def test_explicitness_is_the_mean_area_under_the_curve():
    random = np.random.RandomState(0)
    values = random.randint(3, size=(200, 1))
    codes = np.hstack([values + random.normal(size=(200, 1)), random.normal(size=(200, 2))])
    sample = CodesAndFactors(codes, values)
    on_train, on_test = explicitness(sample, sample)
    model = LogisticRegression().fit(codes, values[:, 0])
    probabilities = model.predict_proba(codes)
    expected = roc_auc_score(np.eye(3)[values[:, 0]], probabilities)
    assert on_train[0] == on_test[0] == pytest.approx(expected, abs=1e-12)


def test_explicitness_of_test_points_that_lack_values():
    codes = factors_themselves(TINY)
    some = FACTORS[:, 2] > 1
    scores = modularity_explicitness(codes, FACTORS, test=(codes[some], FACTORS[some]))
    assert scores["explicitness_score_test"] > 0.9
    one = modularity_explicitness(codes, FACTORS, test=(codes[:1], FACTORS[:1]))
    assert one["explicitness_score_test"] == 0.5


def test_explicitness_as_published_is_lower():
    settings = {"num_train": 500, "num_test": 300}
    today = few_points(compute_modularity_explicitness, linear_mix, **settings)
    published = few_points(
        compute_modularity_explicitness, linear_mix, **settings, one_vs_rest=True
    )
    key = "explicitness_score_test"
    assert published[key] < today[key]
    assert published["modularity_score"] == today["modularity_score"]


def test_beta_vae_refuses_a_single_fixed_factor():
    points = Differences(np.eye(3), np.zeros(3, int))
    with pytest.raises(ValueError, match="num_train must be large enough"):
        beta_vae_score(points, points)


def test_irs_by_hand():
    # Factor 0 sets latent 0; within each group latent 1 reaches as far as over all points.
    factors = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    codes = np.array([[-1.0, 0], [-1, 2], [1, 0], [1, 2], [0, 1]])[:4]
    scores = irs(codes, factors, diff_quantile=1.0)
    assert scores["IRS"] == 1
    assert scores["num_active_dims"] == 4
    assert scores["active_latents"] == 2
    # Without factor 1 latent 1 has robustness 0, with the same weight as latent 0.
    assert irs(codes, factors[:, :1], diff_quantile=1.0)["IRS"] == 0.5
    with pytest.raises(ValueError, match=r"diff_quantile must lie in \[0, 1\]"):
        irs(codes, factors, diff_quantile=99)


def test_irs_takes_a_quantile_of_deviations_and_weighs_latents_by_their_largest():
    # Within each value the deviations of latent 0 are 1, 1, 1, 3, of 8 over all; those of latent 1
    # are 1, of 1.
    factors = np.repeat([0, 1], 4)[:, np.newaxis]
    codes = np.array([[0, 0, 0, 4, 10, 10, 10, 14], [-1, 1] * 4], float).T
    for quantile, deviation in ((0.5, 1), (0.75, 1.5), (1.0, 3)):
        alone = irs(codes[:, :1], factors, diff_quantile=quantile)["IRS"]
        assert alone == pytest.approx(1 - deviation / 8)
        both = irs(codes, factors, diff_quantile=quantile)["IRS"]
        assert both == pytest.approx((8 * alone + 1 * 0) / 9)


def test_sap_is_told_by_the_points_to_test_on():
    # Latent 0 tells the factor without fail where the lines are fitted, of 3 in 4 points to test
    # on; latent 1, constant, of half of them.
    factors = np.array([[0], [0], [1], [1]])
    codes, others = (np.array([[x, 0.0] for x in row]) for row in ([0, 0, 10, 10], [0, 0, 10, 0]))
    assert sap(codes, factors, test=(codes, factors))["SAP_score"] == 1 - 0.5
    assert sap(codes, factors, test=(others, factors))["SAP_score"] == 0.75 - 0.5


def test_irs_counts_active_latents_beside_the_originals_number():
    scores = irs(dead_latents(TINY), FACTORS)
    assert scores["active_latents"] == 4
    assert scores["num_active_dims"] != 4
    for dtype in (np.float16, np.float32, np.float64):
        assert irs(np.full((60, 3), 0.1, dtype), FACTORS)["IRS"] == 0


def test_unsupervised_scores_by_hand():
    covariance = np.array([[1, 0.5], [0.5, 1]])
    assert gaussian_total_correlation(covariance) == pytest.approx(-0.5 * np.log(0.75))
    # Of unit variances the product's eigenvalues are 1 + r and 1 - r.
    distance = 4 - 2 * (np.sqrt(1.5) + np.sqrt(0.5))
    assert wasserstein_by_eigenvalues(covariance) == pytest.approx(distance)
    assert gaussian_wasserstein_correlation(covariance) == pytest.approx(distance)


def test_irs_is_negative_where_groups_lie_far_apart_and_never_below_its_range():
    """Each group has one point where the other is: twice the largest deviation from the mean."""
    factors = np.repeat([0, 1], 50)[:, None]
    codes = np.where(np.arange(100) % 50 == 0, -1.0, 1.0) * (2 * factors[:, 0] - 1)
    score = irs(codes[:, None], factors, diff_quantile=1)["IRS"]
    low, high = compute_irs.info.headlines[0].range
    assert low < score < -0.9 < high == 1


def test_unsupervised_scores_are_mended_where_a_latent_is_dead():
    noisy = noisy_factors(TINY)[:, :3]
    dead = np.hstack([noisy, np.full((60, 1), 0.25, np.float32)])
    alive, mended = unsupervised_metrics(noisy), unsupervised_metrics(dead)
    assert np.isnan(mended["gaussian_total_correlation"])
    assert (alive["active_latents"], mended["active_latents"]) == (3, 3)
    key = "gaussian_total_correlation_active"
    assert mended[key] == pytest.approx(alive[key], abs=1e-12)
    assert alive[key] == pytest.approx(alive["gaussian_total_correlation"], abs=1e-12)
    key = "gaussian_wasserstein_correlation_real"
    assert mended[key] == pytest.approx(alive[key], abs=1e-12)
    assert alive[key] == pytest.approx(alive["gaussian_wasserstein_correlation"], abs=1e-12)


def test_the_wasserstein_distance_is_real_where_the_originals_is_not():
    # A latent that is the sum of two others: an eigenvalue of 0 comes out as -1e-17.
    random = np.random.RandomState(1)
    complex_found = False
    for _ in range(20):
        codes = random.normal(size=(50, 3))
        covariance = np.cov(np.hstack([codes, codes[:, :1] + codes[:, 1:2]]).T)
        original = gaussian_wasserstein_correlation(covariance)
        complex_found |= original.imag != 0
        assert wasserstein_by_eigenvalues(covariance) == pytest.approx(original.real, abs=1e-6)
    assert complex_found


def test_the_real_part_of_a_complex_wasserstein_distance_is_reported():
    random, complex_found = np.random.RandomState(0), False
    for _ in range(20):  # which of them have an imaginary part depends on the machine's rounding
        codes = random.normal(size=(100, 3))
        both = codes[:, 0] + codes[:, 1], 2 * codes[:, 0] - codes[:, 2]
        dependent = np.column_stack([codes, *both])
        root = gaussian_wasserstein_correlation(np.cov(dependent.T))
        scores = unsupervised_metrics(dependent)
        complex_found |= root.imag != 0
        assert scores["gaussian_wasserstein_correlation"] == root.real
        assert all(isinstance(value, float | int) for value in scores.values())
    assert complex_found
    constant = unsupervised_metrics(np.zeros((100, 3)))
    assert constant["gaussian_wasserstein_correlation"] == 0
    assert np.isnan(constant["gaussian_wasserstein_correlation_norm"])


def test_fairness_of_counted_predictions():
    # Overall 1/3 to 2/3; the groups 0 to 1 and 1/2 to 1/2, at distances 1/3 and 1/6.
    mean, largest = inter_group_fairness(np.array([[0, 50], [50, 50]]))
    assert mean == pytest.approx(1 / 3 * 1 / 3 + 2 / 3 * 1 / 6, abs=1e-6)
    assert largest == pytest.approx(1 / 3, abs=1e-6)


def test_fairness_aggregates_by_hand():
    scores = fairness_scores(
        np.array([[9.0, 1, 2], [3, 9, 4], [6, 5, 9]]), "x", np.array([0, 2, 3])
    )
    assert len(scores) == 6 + 12 + 8
    assert (scores["x:pred0:sens3"], scores["x:pred3:sens0"]) == (2, 6)
    assert (scores["x:pred2:mean_sens"], scores["x:pred2:max_sens"]) == (3.5, 4)
    assert (scores["x:sens2:mean_pred"], scores["x:sens2:max_pred"]) == (3, 5)
    assert scores["x:max_pred:mean_sens"] == 5.5
    assert scores["x:mean_pred:max_sens"] == 4
    assert scores["x:mean_sens:max_pred"] == pytest.approx(5)
    assert scores["x:max_sens:mean_pred"] == 4.5


def test_precision_and_merges_by_hand():
    # Thresholds 4, 3, 2, 1, 0, 0: one group, two, then latent 0 joins both factors.
    matrix = np.array([[4.0, 2], [0, 3], [1, 0]])
    scores = precision_curve(matrix)
    assert scores["max_precision"] == 2
    assert scores["area_precision"] == 0.5 * (1 + 2) + 0.5 * (2 + 1) + 1 + 1
    # Two entries, of 4 and 3, come before the one of 2 that brings the factors together.
    assert merges(matrix, np.array([1, 5])) == {"merge_5_1": 2.0}


def test_unified_scores_fit_the_importance_of_dci():
    settings = {"num_train": 100, "num_test": 50}
    only = few_points(
        compute_unified_scores, factors_themselves, matrix_fns=[importance_gbt_matrix], **settings
    )
    assert only["importance_gbt_matrix.dci_disentanglement"] > 0.95
    gin.parse_config("importance_gbt_matrix.n_jobs = 1")
    every = few_points(compute_unified_scores, factors_themselves, **settings)
    assert every["importance_gbt_matrix.sap"] == only["importance_gbt_matrix.sap"]
    assert every["mutual_information_matrix.mig"] > 0.95
    matrix = importance_gbt_matrix(*[FACTORS.T.astype(np.float32), FACTORS.T] * 2)
    assert matrix == pytest.approx(np.eye(3), abs=1e-6)


def test_unified_scores_refuse_a_matrix_of_another_shape():
    def transposed(*layout):
        return mutual_information_matrix(*layout).T

    with pytest.raises(ValueError, match=r"transposed must return a finite matrix .* \(5, 3\)"):
        few_points(compute_unified_scores, noisy_factors, matrix_fns=[transposed])


def test_matrix_functions_take_the_originals_layout():
    layout = (factors_themselves(TINY).T, FACTORS.T) * 2
    assert np.diag(mutual_information_matrix(*layout)) == pytest.approx(np.log(TINY))
    assert accuracy_svm_matrix(*layout).shape == (3, 3)
    assert factorwise_dci(*layout) == pytest.approx(np.eye(3), abs=1e-6)


def test_interventions_set_another_factor():
    train, test = np.zeros((40, 4), int), np.zeros((30, 4), int)
    random_state = np.random.RandomState(0)
    shifted = set()
    for _ in range(30):
        new_train, new_test = intervene(train, test, 1, (3, 4, 1, 2), random_state)
        moved = np.flatnonzero((new_test != 0).any(axis=0) | (new_train != 0).any(axis=0))
        (factor,) = moved
        shifted.add(factor)
        (known,) = set(new_train[:, factor])
        assert known not in new_test[:, factor]
    assert shifted == {0, 3}
    assert not train.any()
    with pytest.raises(ValueError, match="at least 2 that vary"):
        intervene(train, test, 1, (1, 4, 1, 1), random_state)


def test_the_strong_task_takes_nothing_else_from_the_stream():
    data, states = IndexGrid(TINY), [np.random.RandomState(3) for _ in range(2)]
    codes = factors_themselves(TINY)
    settings = {"num_train": [50], "num_test": 20, "n_experiment": 2}
    compute_strong_downstream_task(
        data, LookUp(codes), states[0], predictor_fn=DecisionTreeClassifier, **settings
    )
    data.sample_factors(50, states[1])
    data.sample_factors(20, states[1])
    states[1].randint(2**31 - 1, size=3)
    assert states[0].randint(1000) == states[1].randint(1000)


def test_removing_more_latents_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"num_factors_to_remove must be below .* latents, 5"):
        few_points(compute_reduced_downstream_task, noisy_factors, num_factors_to_remove=5)


@gin.register(module="tests")
def stump():
    return DecisionTreeClassifier(max_depth=1)


def test_predictors_come_from_gin_and_an_argument_wins_over_it():
    settings = {"num_train": 200, "num_test": 100}
    full = few_points(
        compute_downstream_task, noisy_factors, predictor_fn=DecisionTreeClassifier, **settings
    )
    gin.parse_config("predictor.predictor_fn = @stump")
    bound = few_points(compute_downstream_task, noisy_factors, **settings)
    given = few_points(compute_downstream_task, noisy_factors, predictor_fn=stump, **settings)
    assert bound == given != full


def test_open_random_states_are_seeded_in_pipelines_too():
    def pipeline():
        tree = DecisionTreeClassifier(max_features=1)
        return make_pipeline(StandardScaler(), tree)

    codes = noisy_factors(TINY)
    tasks = [Task(codes, FACTORS[:, 0], seed, (codes,)) for seed in (1, 1, 2)]
    (first,), (again,), _ = predict(tasks, pipeline)
    assert (first == again).all()


def test_predictions_do_not_depend_on_the_number_of_processes():
    settings = {"num_train": [100], "num_test": 50, "predictor_fn": DecisionTreeClassifier}
    alone = few_points(compute_downstream_task, noisy_factors, **settings)
    assert few_points(compute_downstream_task, noisy_factors, n_jobs=2, **settings) == alone


def test_sizes_are_one_number_or_different_ones():
    assert check_sizes(5) == check_sizes((5,)) == [5]
    for wrong in ([], [5, 5]):
        with pytest.raises(ValueError, match="num_train must name at least one"):
            check_sizes(wrong)
