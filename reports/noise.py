# How noisy is this host? What a study's own launches of one configuration say.

# %% [markdown]
# # Measuring noise
#
# The default baseline is launched again and again during a study: as a baseline, as drift anchors, and in
# the confirmation. What differs between those launches is noise, whatever its cause. `tuner bench
# --calibrate` measures it on purpose; this looks at what a study has already seen.

# %% tags=["parameters"]
STUDY = "quickstart"
STATE = None  # a state folder; None: TUNER_STATE, else the usual one
STORAGE = None

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import tuner
from tuner.stats import detectable_difference, planned_blocks

study = tuner.load_study(STUDY, state=STATE, storage=STORAGE)
objective = study.objectives[0].figure
baseline = (
    study.baselines[study.baselines["baseline"] == "default"]
    if not study.baselines.empty
    else study.baselines
)
confirmed = study.confirmations
if not confirmed.empty:
    confirmed = confirmed[confirmed["contender"] == "default"]
launches = pd.concat([baseline, study.anchors, confirmed])
launches = launches[launches[objective].notna()].sort_values("started") if objective in launches else launches
print(f"{len(launches)} launches of the default baseline")

# %% [markdown]
# ## Over time
#
# A level that moves is drift; points that jump are the difference between launches.

# %%
if not launches.empty:
    figure, axes = plt.subplots(figsize=(9, 4))
    for kind, mine in launches.groupby("kind"):
        axes.plot(mine["started"], mine[objective], "o", label=kind)
    axes.set_ylabel(objective)
    axes.legend()
    figure.autofmt_xdate()

# %% [markdown]
# ## Between launches, and within one
#
# Standard deviations of natural logarithms: 0.04 is 4 %. Where launches differ by more than repetitions do,
# more repetitions help little, and more launches do: the launch is the unit of replication.

# %%
spread = {}
values = np.log(launches[objective].to_numpy(dtype="float64")) if not launches.empty else np.empty(0)
if len(values) > 1:
    spread["between launches"] = values.std(ddof=1)
samples = study.read_samples(
    [record for record in study.records if record.folder in set(launches["folder"])]
    if not launches.empty
    else []
)
if not samples.requests.empty:
    done = samples.requests[samples.requests["status"] == "ok"]
    runs = done.groupby(["folder", "workload", "repetition"]).agg(
        tokens=("output_tokens", "sum"), began_s=("sent_s", "min"), ended_s=("ended_s", "max")
    )
    speed = np.log(runs["tokens"] / (runs["ended_s"] - runs["began_s"]))
    within = speed.groupby(["folder", "workload"]).var().dropna()
    if not within.empty:
        spread["between repetitions of one launch"] = float(np.sqrt(within.mean()))
pd.Series(spread, name="standard deviation of the logarithm", dtype="float64")

# %% [markdown]
# ## What can be found on such a host?
#
# `tuner compare` launches two configurations in turns. A block's difference has two launches in it, so its
# spread is that of a launch times the square root of two (less, where neighbours in time are alike).

# %%
if spread.get("between launches", 0) > 0:
    block_sd = spread["between launches"] * np.sqrt(2)
    display(
        pd.DataFrame(
            {
                "blocks": blocks,
                "difference that nine of ten comparisons find": detectable_difference(block_sd, blocks),
            }
            for blocks in (8, 12, 20, 40, 80)
        )
    )
    print(f"To find 3 %: {planned_blocks(block_sd, 0.03)} blocks of two launches.")
if study.summary.floors:
    display(pd.Series(study.summary.floors, name="noise floor, calibrated"))
