"""What is in each of disentanglement_lib's modules, and where we have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

__all__ = ["MODULES", "NOT_HERE", "Module", "is_package", "objects", "reason"]


class Module(NamedTuple):
    """A module's content.

    `names` has names by the module that they come from: one of ours, or of this package if it
    begins with a dot; "original=ours" where they differ. "@" before the module: as gin configures
    them. `gin` has the names that the original registers with gin there, which mean ours of the
    same name. `loads` has modules that the original imports with it, for their gin names.
    """

    names: Mapping[str, str] = {}
    gin: str = ""
    loads: str = ""


def objects(module: Module) -> Iterator[tuple[str, tuple[str, str]]]:
    """Each name of a module, and the module and the name that it comes from."""
    for place, names in module.names.items():
        for name in names.split():
            original, _, ours = name.partition("=")
            yield original, (place, ours or original)


def is_package(module: str) -> bool:
    """Whether a module of the table is a folder."""
    return not module or any(other.startswith(f"{module}.") for other in MODULES)


def reason(module: str) -> str:
    """Why a module of the original is not here, with what to do; "" for any other module."""
    for name, why in NOT_HERE.items():
        if f"{module}.".startswith(f"{name}."):
            return why
    return ""


_METRICS = "srvae_plugin.metrics"
_MODELS = "srvae_plugin.models"
_SWEEP_NAMES = "get_config get_datasets get_num_latent get_seeds get_default_models"
_LABELLERS = "perfect_labeller bin_labeller noisy_labeller permuted_labeller partial_labeller"
_FUNCTIONS, _PARTS, _TASKS = ".metric_functions", ".metric_parts", ".task_parts"

MODULES: dict[str, Module] = {
    "": Module(),
    "evaluation": Module(),
    "evaluation.evaluate": Module(
        {".steps": "evaluate evaluate_with_gin"}, "evaluation", "evaluation.metrics"
    ),
    "evaluation.metrics": Module(),
    "evaluation.metrics.beta_vae": Module(
        {
            _FUNCTIONS: "compute_beta_vae_sklearn",
            _TASKS: "_generate_training_sample=_difference_sample "
            "_generate_training_batch=_difference_batch",
        },
        "beta_vae_sklearn",
    ),
    "evaluation.metrics.dci": Module(
        {
            _FUNCTIONS: "compute_dci compute_dci_on_fixed_data",
            _PARTS: "_compute_dci compute_importance_gbt disentanglement_per_code completeness "
            "completeness_per_factor disentanglement",
        },
        "dci dci_validation",
    ),
    "evaluation.metrics.downstream_task": Module(
        {
            _FUNCTIONS: "compute_downstream_task",
            _TASKS: "_compute_loss=compute_predictive_accuracy",
        },
        "downstream_task",
    ),
    "evaluation.metrics.factor_vae": Module(
        {
            _FUNCTIONS: "compute_factor_vae",
            f"@{_METRICS}.factor_vae": "_prune_dims=prune_dims",
            _TASKS: "_compute_variances _generate_training_sample=_variance_sample "
            "_generate_training_batch=_variance_batch",
        },
        "factor_vae_score prune_dims",
    ),
    "evaluation.metrics.fairness": Module(
        {
            _FUNCTIONS: "compute_fairness",
            _TASKS: "compute_scores_dict",
            f"{_METRICS}.fairness": "inter_group_fairness",
        },
        "fairness",
    ),
    "evaluation.metrics.irs": Module(
        {_FUNCTIONS: "compute_irs", _PARTS: "_drop_constant_dims scalable_disentanglement_score"},
        "irs",
    ),
    "evaluation.metrics.mig": Module(
        {_FUNCTIONS: "compute_mig compute_mig_on_fixed_data", _PARTS: "_compute_mig"},
        "mig mig_validation",
    ),
    "evaluation.metrics.modularity_explicitness": Module(
        {
            _FUNCTIONS: "compute_modularity_explicitness",
            _PARTS: "explicitness_per_factor modularity",
        },
        "modularity_explicitness",
    ),
    "evaluation.metrics.reduced_downstream_task": Module(
        {
            _FUNCTIONS: "compute_reduced_downstream_task",
            _TASKS: "compute_reduced_representation compute_factorwise_dci "
            "compute_predictive_accuracy",
        },
        "reduced_downstream_task reduced_representation factorwise_dci",
    ),
    "evaluation.metrics.sap_score": Module(
        {
            _FUNCTIONS: "compute_sap compute_sap_on_fixed_data",
            _PARTS: "_compute_sap compute_score_matrix compute_avg_diff_top_two",
        },
        "sap_score sap_score_validation",
    ),
    "evaluation.metrics.strong_downstream_task": Module(
        {
            _FUNCTIONS: "compute_strong_downstream_task",
            _TASKS: "intervene _compute_loss_intervene _compute_loss=compute_predictive_accuracy",
        },
        "strong_downstream_task",
    ),
    "evaluation.metrics.unified_scores": Module(
        {
            _FUNCTIONS: "compute_unified_scores compute_unified_score_on_fixed_data",
            ".unified_parts": "unified_scores aggregation_dci aggregation_mig aggregation_sap "
            "aggregation_modularity AGGREGATION_FN",
            _PARTS: "sap_compute_diff_top_two",
            f"{_METRICS}.common.aggregation": "pr_curves_values=precision_curve",
            f"{_METRICS}.modularity_explicitness": "compute_modularity_per_code"
            "=modularity_per_latent",
            f"@{_METRICS}.unified_scores": "importance_gbt_matrix mutual_information_matrix "
            "accuracy_svm_matrix",
        },
        "unified_scores unified_score_validation importance_gbt_matrix mutual_information_matrix "
        "accuracy_svm_matrix",
    ),
    "evaluation.metrics.unsupervised_metrics": Module(
        {
            _FUNCTIONS: "unsupervised_metrics",
            _PARTS: "gaussian_wasserstein_correlation kl_gaussians_numerically_unstable",
            f"{_METRICS}.unsupervised_metrics": "gaussian_total_correlation",
        },
        "unsupervised_metrics",
    ),
    "evaluation.metrics.utils": Module(
        {
            ".evaluation_utils": "generate_batch_factor_code split_train_test normalize_data "
            "obtain_representation discrete_mutual_info discrete_entropy",
            f"@{_METRICS}.common.discretizer": "make_discretizer=discretizer "
            "_histogram_discretize=histogram_discretizer",
            f"@{_METRICS}.learners.predictors": "make_predictor_fn=predictor "
            "logistic_regression_cv gradient_boosting_classifier",
        },
        "discretizer histogram_discretizer predictor logistic_regression_cv "
        "gradient_boosting_classifier",
    ),
    "evaluation.udr": Module(),
    "evaluation.udr.evaluate": Module({".steps": "evaluate=evaluate_udr"}, "evaluation"),
    "evaluation.udr.metrics": Module(),
    "evaluation.udr.metrics.udr": Module(
        {
            f"@{_METRICS}.udr": "compute_udr_sklearn",
            f"{_METRICS}.udr": "relative_strength_disentanglement=relative_strength",
            ".udr_parts": "lasso_correlation_matrix spearman_correlation_conv",
        },
        "udr_sklearn",
    ),
    "postprocessing": Module(),
    "postprocessing.methods": Module(
        {"@srvae_plugin.runs.represent": "mean_representation sampled_representation"},
        "mean_representation sampled_representation",
    ),
    "postprocessing.postprocess": Module(
        {".steps": "postprocess postprocess_with_gin"}, "postprocess", "postprocessing.methods"
    ),
    "methods": Module(),
    "methods.shared": Module(),
    "methods.shared.architectures": Module(
        {
            ".networks": "make_gaussian_encoder make_decoder make_discriminator "
            "conv_encoder fc_encoder test_encoder deconv_decoder fc_decoder "
            "test_decoder fc_discriminator",
        },
        "encoder decoder discriminator conv_encoder fc_encoder test_encoder deconv_decoder "
        "fc_decoder test_decoder fc_discriminator",
    ),
    "methods.shared.losses": Module(
        {".losses": "bernoulli_loss l2_loss make_reconstruction_loss"},
        "bernoulli_loss l2_loss reconstruction_loss",
    ),
    "methods.shared.optimizers": Module(
        {".optimizers": "make_optimizer make_vae_optimizer make_discriminator_optimizer"},
        "vae_optimizer discriminator_optimizer",
    ),
    "methods.unsupervised": Module(),
    "methods.unsupervised.gaussian_encoder_model": Module(
        {f"{_MODELS}.base": "GaussianEncoderModel=DisentanglementModel"}
    ),
    "methods.unsupervised.train": Module(
        {".steps": "train train_with_gin"},
        "model",
        "methods.unsupervised.vae methods.shared.architectures methods.shared.optimizers",
    ),
    "methods.unsupervised.vae": Module(
        {
            ".vae_parts": "BaseVAE compute_gaussian_kl gaussian_log_density total_correlation",
            f"@{_MODELS}.vae": "BetaVAE=VAE",
            f"@{_MODELS}.annealed_vae": "AnnealedVAE",
            f"@{_MODELS}.factor_vae": "FactorVAE",
            f"@{_MODELS}.dip_vae": "DIPVAE",
            f"@{_MODELS}.beta_tc_vae": "BetaTCVAE",
            f"{_MODELS}.annealed_vae": "anneal",
            f"{_MODELS}.factor_vae": "shuffle_codes=permute_codes",
            f"{_MODELS}.losses": "compute_covariance_z_mean=batch_covariance "
            "regularize_diag_off_diag_dip=covariance_penalty",
        },
        "vae annealed_vae factor_vae dip_vae beta_tc_vae",
    ),
    "methods.weak": Module(),
    "methods.weak.train_weak_lib": Module(
        {
            ".steps": "train train_with_gin",
            ".weak_parts": "simple_dynamics weak_dataset_from_ground_truth_data "
            "visualize_weakly_supervised_dataset",
        },
        "model dynamics",
        "methods.weak.weak_vae",
    ),
    "methods.weak.weak_vae": Module(
        {
            ".weak_parts": "make_weak_loss GroupVAEBase MLVae aggregate_labels aggregate_argmax "
            "discretize_in_bins compute_kl",
            f"@{_MODELS}.ada_gvae": "GroupVAELabels GroupVAEArgmax=AdaGVAE "
            "MLVaeLabels=MLVAELabels MLVaeArgmax=AdaMLVAE",
        },
        "group_vae group_vae_labels group_vae_argmax mlvae mlvae_labels mlvae_argmax",
    ),
    "methods.semi_supervised": Module(),
    "methods.semi_supervised.semi_supervised_utils": Module(
        {
            ".semi_supervised_parts": "sample_supervised_data train_test_split permute "
            "filter_factors",
            f"@{_MODELS}.semi_supervised": "make_labeller=make_labels",
            "@srvae_plugin.data.sampling.labellers": _LABELLERS,
        },
        f"labeller {_LABELLERS}",
    ),
    "methods.semi_supervised.semi_supervised_vae": Module(
        {
            ".semi_supervised_parts": "sample_from_latent_distribution make_supervised_loss "
            "normalize_labels supervised_regularizer_l2 supervised_regularizer_xent "
            "supervised_regularizer_cov supervised_regularizer_embed mine",
            ".vae_parts": "compute_gaussian_kl",
            f"{_MODELS}.supervised_losses": "fixed_annealer=fixed annealed_annealer=annealed "
            "fine_tune_annealer=fine_tuned",
            f"@{_MODELS}.supervised_losses": "make_annealer=make_annealed",
            f"@{_MODELS}.semi_supervised": "S2BetaVAE=S2VAE SupervisedVAE MineVAE=S2MineVAE "
            "S2FactorVAE S2DIPVAE S2BetaTCVAE",
        },
        "annealer fixed anneal fine_tune supervised_loss l2 xent cov embed s2_vae supervised "
        "s2_mine_vae s2_factor_vae s2_dip_vae s2_beta_tc_vae",
    ),
    "methods.semi_supervised.train_semi_supervised_lib": Module(
        {
            ".steps": "train=train_semi_supervised train_with_gin=train_semi_supervised_with_gin",
            ".semi_supervised_parts": "semi_supervised_dataset_from_ground_truth_data",
        },
        "model",
        "methods.semi_supervised.semi_supervised_utils methods.semi_supervised.semi_supervised_vae",
    ),
    "validation": Module(),
    "validation.validate": Module(
        {".steps": "validate validate_with_gin"}, "validation", "evaluation.metrics"
    ),
    "data": Module(),
    "data.ground_truth": Module(),
    "data.ground_truth.ground_truth_data": Module({".data_sets": "GroundTruthData"}),
    "data.ground_truth.named_data": Module(
        {"@srvae_plugin.config.plugins": "get_named_ground_truth_data=load_dataset"}, "dataset"
    ),
    "data.ground_truth.util": Module(
        {
            ".data_sets": "SplitDiscreteStateSpace StateSpaceAtomIndex "
            "tf_data_set_from_ground_truth_data",
        }
    ),
    "data.ground_truth.dummy_data": Module(
        {"srvae_plugin.data.dummy_data": "DummyData IdentityObservationsData"}
    ),
    "data.ground_truth.dsprites": Module(
        {
            "srvae_plugin.data.dsprites": "DSprites",
            ".data_sets": "ColorDSprites NoisyDSprites ScreamDSprites AbstractDSprites "
            "BACKGROUND_COLORS OBJECT_COLORS DSPRITES_PATH SCREAM_PATH",
        }
    ),
    "data.ground_truth.cars3d": Module(
        {"srvae_plugin.data.cars3d": "Cars3D=cars3d", ".data_sets": "CARS3D_PATH"}
    ),
    "data.ground_truth.shapes3d": Module(
        {"srvae_plugin.data.shapes3d": "Shapes3D=shapes3d", ".data_sets": "SHAPES3D_PATH"}
    ),
    "data.ground_truth.norb": Module({"srvae_plugin.data.smallnorb": "SmallNORB=smallnorb"}),
    "data.ground_truth.mpi3d": Module({".data_sets": "MPI3D"}),
    "utils": Module(),
    "utils.results": Module(
        {
            ".results": "update_result_directory copydir save_gin save_dict gin_dict Encoder "
            "namespaced_dict aggregate_json_results",
        }
    ),
    "utils.resources": Module({".results": "get_file get_files_in_folder"}),
    "utils.aggregate_results": Module(
        {".results": "aggregate_results_to_json load_aggregated_json_results"}
    ),
    "utils.hyperparams": Module(
        {
            ".hyperparams": "sweep categorical discrete fixed zipit chainit product to_bindings "
            "_escape_value",
        }
    ),
    "visualize": Module(),
    "visualize.visualize_util": Module(
        {
            ".pictures": "save_image grid_save_images padded_grid padded_stack padding_array "
            "best_num_rows pad_around add_below save_animation",
            "srvae_plugin.plots.cycles": "cycle_factor cycle_gaussian cycle_interval",
        }
    ),
    "visualize.visualize_scores": Module(
        {
            ".score_pictures": "heat_square plot_matrix_squares plot_bar_palette "
            "plot_recovery_vs_independent precision recall bfs"
        }
    ),
    "visualize.dendrogram": Module(
        {".score_pictures": "dendrogram_plot report_merges _find _union"}
    ),
    "visualize.visualize_dataset": Module({".visualize": "visualize_dataset"}),
    "visualize.visualize_model": Module(
        {".visualize": "visualize latent_traversal_1d_multi_dim sigmoid tanh"}
    ),
    "visualize.visualize_irs": Module(
        {
            ".visualize": "vis_all_interventional_effects visualize_interventional_effect "
            "_visualize_interventional_effect=visualize_interventional_effect"
        }
    ),
    "config": Module(),
    "config.study": Module({".hyperparams": "Study"}),
    "config.unsupervised_study_v1": Module(),
    "config.unsupervised_study_v1.sweep": Module(
        {".hyperparams": f"{_SWEEP_NAMES} UnsupervisedStudyV1"}
    ),
    "config.fairness_study_v1": Module(),
    "config.fairness_study_v1.sweep": Module({".hyperparams": f"{_SWEEP_NAMES} FairnessStudyV1"}),
    "config.abstract_reasoning_study_v1": Module(),
    "config.abstract_reasoning_study_v1.stage1": Module(),
    "config.abstract_reasoning_study_v1.stage1.sweep": Module(
        {
            ".hyperparams": "get_config=get_abstract_config get_datasets=get_abstract_datasets "
            "get_num_latent get_seeds get_default_models AbstractReasoningStudyV1"
        }
    ),
}

NOT_HERE = {
    "evaluation.abstract_reasoning": "it needs TensorFlow 1 and the original itself",
    "utils.convolute_hub": "it joins TensorFlow Hub modules; a representation is written by "
    "postprocessing.postprocess here, for TensorFlow 1 by srvae-export --to disentanglement_lib",
    "config.reproduce": "srvae-run --study NAME --model-num N does what dlib_reproduce does",
    "config.abstract_reasoning_study_v1.stage2": "it needs TensorFlow 1 and the original itself",
    "config.tests": "it is the original's own tests' settings, which lie in its package",
}
"""The original's modules that have no answer here."""
