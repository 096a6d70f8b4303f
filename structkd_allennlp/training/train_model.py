from typing import Any, Dict

import torch
import torch.distributed as dist
from allennlp.commands.train import TrainModel
from allennlp.common.util import is_distributed
from allennlp.data import DataLoader

from structkd_allennlp.training.distributed import of_all_workers


# Of AllenNLP's own, the primary worker evaluates its share of the sentences and waits for the rest.
@TrainModel.register("default", constructor="from_partial_objects", exist_ok=True)
class DistributedTrainModel(TrainModel):
    """
    `allennlp train`, with two differences in distributed training: `evaluate_on_test` covers the
    sentences of all workers, for models that do not communicate in `forward`; and workers leave
    the process group together when they are done, as one whose threads still talk to others may
    abort when it exits.

    Registered as a `TrainModel` with name "default", in the place of AllenNLP's.
    """

    def run(self) -> Dict[str, Any]:
        metrics = super().run()
        loader = self.evaluation_data_loader
        if (
            loader is not None
            and self.evaluate_on_test
            and is_distributed()
            and not getattr(self.model, "communicates_in_forward", True)
        ):
            for name, value in self._evaluate(loader).items():
                metrics[f"test_{name}"] = value
            # It is done, and `finish` is for the primary worker alone.
            self.evaluation_data_loader = None  # type: ignore[assignment]
        if is_distributed():
            dist.barrier()
            dist.destroy_process_group()
        return metrics

    @torch.no_grad()
    def _evaluate(self, loader: DataLoader) -> Dict[str, float]:
        self.model.eval()
        loader.set_target_device(self.trainer.cuda_device)
        loss = weight = 0.0
        for batch in loader:
            outputs = self.model(**batch)
            if "loss" in outputs:
                own = outputs[self.batch_weight_key].item() if self.batch_weight_key else 1.0
                loss += own * outputs["loss"].item()
                weight += own
        losses, weights = zip(*of_all_workers((loss, weight)), strict=True)
        metrics = self.model.get_metrics(reset=True)
        if sum(weights):
            metrics["loss"] = sum(losses) / sum(weights)
        return metrics
