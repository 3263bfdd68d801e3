"""What the scores of a report mean, shown where their names are pointed at and in its glossary."""

from __future__ import annotations

from srvae_plugin.report.keys import TRAINING, Score

__all__ = ["explanation"]

_DCI = "Eastwood and Williams, ICLR 2018"
_RIDGEWAY = "Ridgeway and Mozer, NeurIPS 2018"
_INFOMEC = "Hsu et al., NeurIPS 2023"
_DLIB = "Locatello et al., ICML 2019"
_KNOWN = {
    "factor_vae_score": (
        "Accuracy of a majority vote: which factor was held fixed, told from the latent that "
        "varies least", "Kim and Mnih, ICML 2018"),
    "beta_vae_sklearn": (
        "Accuracy of a linear classifier: which factor two images share, told from the mean "
        "absolute difference of their codes", "Higgins et al., ICLR 2017"),
    "mig": (
        "Mutual information gap: between the two latents that know most of a factor, over the "
        "factor's entropy, averaged over factors", "Chen et al., NeurIPS 2018"),
    "sap_score": (
        "Gap between the two latents that predict a factor best, each alone",
        "Kumar et al., ICLR 2018"),
    "dci.disentanglement": (
        "Whether each latent is important for one factor only, by the importances of predictors "
        "of the factors", _DCI),
    "dci.completeness": ("Whether each factor is predicted by one latent only", _DCI),
    "dci.informativeness_test": (
        "Accuracy of the predictors of the factors on held-out data", _DCI),
    "dci_regression.disentanglement": (
        "DCI disentanglement with regressors: whether each latent is important for one factor "
        "only", _DCI),
    "dci_regression.completeness": (
        "DCI completeness with regressors: whether each factor is predicted by one latent", _DCI),
    "dci_regression.nrmse_test": (
        "Error of the regressors relative to that of predicting the mean", _DCI),
    "modularity_explicitness.modularity_score": (
        "Whether each latent has mutual information with one factor only", _RIDGEWAY),
    "modularity_explicitness.explicitness_score_test": (
        "ROC AUC of linear classifiers of the factors", _RIDGEWAY),
    "irs": (
        "Interventional robustness: how little a latent changes when other factors than its own "
        "do", "Suter et al., ICML 2019"),
    "infomec.infom": ("Modularity: each latent informs about one factor", _INFOMEC),
    "infomec.infoe": ("Explicitness: how well linear probes predict the factors", _INFOMEC),
    "infomec.infoc": ("Compactness: each factor is in one latent", _INFOMEC),
    "jemmig": (
        "Joint entropy minus mutual information gap: MIG that also punishes latents that hold "
        "more than one factor", "Do and Tran, ICLR 2020"),
    "dcimig": ("MIG that asks for one factor per latent and one latent per factor",
               "Sepliarskaia et al., arXiv 1910.05587"),
    "mig_sup": ("MIG seen from the latents: gap between the two factors that a latent knows most "
                "of", "Li et al., ICLR 2020"),
    "med": ("DCI disentanglement by mutual information", "Cao et al., NeurIPS 2022"),
    "dci_es": ("How fast predictors reach their accuracy as their capacity grows",
               "Eastwood et al., ICLR 2023"),
    "unsupervised_metrics.gaussian_total_correlation": (
        "Total correlation of the latents, fitted as one Gaussian", _DLIB),
    "unsupervised_metrics.mutual_info_score": ("Mean mutual information of two latents", _DLIB),
    f"{TRAINING}.reconstruction_loss": ("Reconstruction loss on the training data after training",
                                        ""),
}  # fmt: skip


def explanation(score: Score) -> str:
    """What a score measures, its reference, and which way is better."""
    metric = score.function or score.metric
    what, reference = _KNOWN.get(f"{metric}.{score.key}") or _KNOWN.get(metric) or ("", "")
    way = f"{score.way.capitalize()}." if score.is_stated else (
        "Higher is assumed to be better: the metric does not say.")  # fmt: skip
    said = f"{what} ({reference})." if reference else f"{what}." if what else ""
    return f"{said} {way}".strip()
