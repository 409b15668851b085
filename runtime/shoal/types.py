"""Types where Ray keeps them: `from shoal.types import ObjectRef`."""

from shoal.refs import ObjectRef as ObjectRef
