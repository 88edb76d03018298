"""Arrays that the hooks dump beside the containers (INSITU_DUMP)."""
import glob
import os
from collections import defaultdict

import numpy as np


def dumps(folder):
    """{(field, step): [(lower, values), ...]} in storage order, by rank and box."""
    found = defaultdict(list)
    for path in sorted(glob.glob(folder + "/*.npz") + glob.glob(folder + "/*.raw"), key=lambda p: int(p.split(".")[-2])):
        name, step, _ = os.path.basename(path)[:-4].split(".")
        if path.endswith(".npz"):
            z = np.load(path)
            found[name, int(step)].append((tuple(int(n) for n in z["lower"]), z["values"]))
        else:
            head = [int(n) for n in np.fromfile(path, np.int64, 6)]
            found[name, int(step)].append((tuple(head[2::-1]), np.fromfile(path, np.float64, offset=48).reshape(head[:2:-1])))
    return found
