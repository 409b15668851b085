"""Remote functions where Ray keeps them: `from shoal.remote_function import RemoteFunction`."""

from shoal.functions import RemoteFunction as RemoteFunction
