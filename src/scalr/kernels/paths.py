from scalr.kernels.layout import NO_ITEM, Workspace, count_paths, make_workspace, stable_order
from scalr.kernels.uniform import draw_uniform_paths
from scalr.kernels.weighted import draw_weighted_items
