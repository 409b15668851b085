"""Names that scripts import from Ray's compiled core, for want of a public place in its older releases."""

from shoal.exceptions import StreamEndedError as ObjectRefStreamEndOfStreamError  # noqa: F401
from shoal.generators import DynamicObjectRefGenerator as DynamicObjectRefGenerator
from shoal.generators import ObjectRefGenerator as ObjectRefGenerator
from shoal.ids import ActorClassID as ActorClassID
from shoal.ids import ActorID as ActorID
from shoal.ids import ClusterID as ClusterID
from shoal.ids import FunctionID as FunctionID
from shoal.ids import JobID as JobID
from shoal.ids import NodeID as NodeID
from shoal.ids import PlacementGroupID as PlacementGroupID
from shoal.ids import TaskID as TaskID
from shoal.ids import UniqueID as UniqueID
from shoal.ids import WorkerID as WorkerID
from shoal.refs import ObjectID as ObjectID
from shoal.refs import ObjectRef as ObjectRef
