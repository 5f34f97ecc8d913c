"""Tests of a GPU. Where there is none they are not collected, so that none of them counts as skipped or passed.

`make cuda` runs them, and fails where there is no GPU.
"""

import torch

collect_ignore_glob = [] if torch.cuda.is_available() else ["test_*.py"]
