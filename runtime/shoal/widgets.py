"""Door to the live views: `from shoal.widgets import CellView`."""

from shoal_widgets import CellView as CellView
