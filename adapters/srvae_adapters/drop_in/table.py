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
_FUNCTIONS, _PARTS, _TASKS = ".metric_functions", ".metric_parts", ".task_parts"

MODULES: dict[str, Module] = {
    "": Module(),
    "evaluation": Module(),
    "evaluation.evaluate": Module(
        {".steps": "evaluate evaluate_with_gin"}, "evaluation", "evaluation.metrics"
    ),
    "evaluation.metrics": Module(),
    "evaluation.metrics.beta_vae": Module(
        {_FUNCTIONS: "compute_beta_vae_sklearn"}, "beta_vae_sklearn"
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
            _TASKS: "_compute_variances",
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
            ".networks": "conv_encoder fc_encoder test_encoder deconv_decoder fc_decoder "
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
            ".data_sets": "ColorDSprites NoisyDSprites ScreamDSprites",
        }
    ),
    "data.ground_truth.cars3d": Module({"srvae_plugin.data.cars3d": "Cars3D=cars3d"}),
    "data.ground_truth.shapes3d": Module({"srvae_plugin.data.shapes3d": "Shapes3D=shapes3d"}),
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
        {".score_pictures": "heat_square plot_recovery_vs_independent precision recall bfs"}
    ),
    "visualize.dendrogram": Module(
        {".score_pictures": "dendrogram_plot report_merges _find _union"}
    ),
    "visualize.visualize_dataset": Module({".visualize": "visualize_dataset"}),
    "visualize.visualize_model": Module(
        {".visualize": "visualize latent_traversal_1d_multi_dim sigmoid tanh"}
    ),
    "visualize.visualize_irs": Module({".visualize": "vis_all_interventional_effects"}),
    "config": Module(),
    "config.study": Module({".hyperparams": "Study"}),
    "config.unsupervised_study_v1": Module(),
    "config.unsupervised_study_v1.sweep": Module(
        {".hyperparams": f"{_SWEEP_NAMES} UnsupervisedStudyV1"}
    ),
    "config.fairness_study_v1": Module(),
    "config.fairness_study_v1.sweep": Module({".hyperparams": f"{_SWEEP_NAMES} FairnessStudyV1"}),
}

NOT_HERE = {
    "evaluation.abstract_reasoning": "it needs TensorFlow 1 and the original itself",
    "utils.convolute_hub": "it joins TensorFlow Hub modules; a representation is written by "
    "postprocessing.postprocess here, for TensorFlow 1 by srvae-export --to disentanglement_lib",
    "config.reproduce": "srvae-run --study NAME --model-num N does what dlib_reproduce does",
    "config.abstract_reasoning_study_v1": "srvae-run --study abstract_reasoning_study_v1 trains "
    "the models of its first stage; its second needs TensorFlow 1 and the original itself",
    "methods.semi_supervised": "it is not in disentanglement_lib 1.5, whose names these are",
    "methods.weak": "it is not in disentanglement_lib 1.5, whose names these are",
}
"""The original's modules that have no answer here."""
