"""The kinds of output that can be judged, one file per kind: the meaning of agreement, and of labels."""

from collections.abc import Mapping
from types import MappingProxyType

from edge_agent.quant.kinds.anomaly import Anomaly
from edge_agent.quant.kinds.binary import Binary
from edge_agent.quant.kinds.classes import Classes
from edge_agent.quant.kinds.detection import Detection
from edge_agent.quant.kinds.detection_head import DetectionHead
from edge_agent.quant.kinds.embedding import Embedding
from edge_agent.quant.kinds.kind import Kind
from edge_agent.quant.kinds.mask import Mask
from edge_agent.quant.kinds.raw import Raw
from edge_agent.quant.kinds.regression import Regression
from edge_agent.quant.kinds.sequence import Symbols
from edge_agent.wire.manifest import OutputKind

KINDS: Mapping[OutputKind, type[Kind]] = MappingProxyType(
    {
        "classes": Classes,
        "binary": Binary,
        "regression": Regression,
        "embedding": Embedding,
        "raw": Raw,
        "anomaly": Anomaly,
        "detection": Detection,
        "detection_head": DetectionHead,
        "sequence": Symbols,
        "mask": Mask,
    }
)
