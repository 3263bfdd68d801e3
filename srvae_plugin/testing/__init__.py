"""Does a plug-in keep its contract? For its author's own tests, and as a command.

    python -m srvae_plugin.testing my_package

makes every check of every model, data set, metric and exporter that an installed package registers.
In a test::

    from srvae_plugin.testing import check_model

    def test_my_vae_keeps_the_contract():
        check_model(lambda: MyVAE(beta=4.0))
"""

from srvae_plugin.testing.checks import CheckError
from srvae_plugin.testing.datasets import check_dataset
from srvae_plugin.testing.exporters import check_exporter
from srvae_plugin.testing.metrics import check_metric
from srvae_plugin.testing.models import check_model

__all__ = ["CheckError", "check_dataset", "check_exporter", "check_metric", "check_model"]
