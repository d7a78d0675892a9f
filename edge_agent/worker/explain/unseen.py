"""Reports what the held-out windows contain that calibration and search have not seen.

The report accompanies the verdict and does not affect it. Inputs are inspected while the float model runs on them, so
no window is read twice.
"""

from collections import Counter

from edge_agent.backends import Signature
from edge_agent.contract.scored_output import ScoredOutput
from edge_agent.jobs.task import Stage
from edge_agent.quant.agreement import Judge
from edge_agent.worker.artefacts import HISTOGRAMS_FILE, read_extremes
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import DataSet, Row
from edge_agent.worker.data.finding import Finding
from edge_agent.worker.data.seen import Reach, read_seen
from edge_agent.worker.data.watched import Watched
from edge_agent.worker.quality.beyond import BeyondCalibration
from edge_agent.worker.quality.class_coverage import class_unseen
from edge_agent.worker.search.float_answers import classes_given
from edge_agent.worker.search.scoring import ReferenceOutputs


class Unseen:
    """Watches the held-out windows.

    Attributes:
        data: the sets; the held-out set must be read through it.
    """

    def __init__(self, context: Context, info: Signature, data: DataSet) -> None:
        """Load the files of the calibrate stage; an older agent stored none."""
        folder = context.folder(Stage.CALIBRATE)
        self._seen = read_seen(folder)
        self._rows = context.task.arrays is not None
        calibration = data.count("calibration")
        self._inputs = BeyondCalibration(self._seen.inputs, calibration, "input")
        judged = ScoredOutput(info, context.task)
        self._name = info.outputs[judged.position].name
        extremes = read_extremes(folder / HISTOGRAMS_FILE, self._name) if judged.as_it_is else None
        reach = {} if extremes is None else {self._name: Reach.of_all(*extremes)}
        self._output = BeyondCalibration(reach, calibration, "output")
        self.data: DataSet = Watched(data, "heldout", self._fed)

    def findings(self, floats: ReferenceOutputs, judge: Judge) -> list[Finding]:
        """All findings, once float has run over all held-out windows."""
        classes: Counter[int] = Counter()
        for output in floats.answers():
            classes.update(classes_given(judge, output))
            self._output.add({self._name: output})
        return [
            *class_unseen(self._seen.classes, classes, floats.windows, rows=self._rows),
            *self._inputs.findings(rows=self._rows),
            *self._output.findings(rows=self._rows),
        ]

    def _fed(self, row: Row) -> None:
        self._inputs.add(row.feeds)
