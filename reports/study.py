# One study, from its verdict to its raw samples. Cells begin with "# %%" (Jupytext and editors know them).

# %% [markdown]
# # What did the study find?
#
# Everything here comes from `tuner.load_study`: pandas tables with units in the names of columns
# (docs/python.md). Change a cell and run it again; nothing here changes the study.

# %% tags=["parameters"]
STUDY = "quickstart"
STATE = None  # a state folder; None: TUNER_STATE, else the usual one
STORAGE = None  # an Optuna storage URL; None: TUNER_STORAGE, else SQLite in the state folder

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import tuner

study = tuner.load_study(STUDY, state=STATE, storage=STORAGE)
objective = study.objectives[0].figure
print(study.verdict)

# %% [markdown]
# ## The launches that decide
#
# Each finalist and each baseline, launched afresh in blocks of random order. The verdict's ratios and
# intervals are of these values, and of nothing else.

# %%
confirmed = study.confirmations
if not confirmed.empty:
    confirmed = confirmed[confirmed["current"]]
    display(confirmed.pivot_table(index="block", columns="contender", values=objective))
pd.DataFrame(
    {
        "finalist": finalist.record.label,
        "against": found.against,
        "figure": found.objective.figure,
        "ratio": found.comparison.ratio,
        "low": found.comparison.low,
        "high": found.comparison.high,
        "verdict": found.comparison.verdict,
    }
    for finalist in study.summary.finalists
    for found in finalist.confirmations
)

# %% [markdown]
# ## The search

# %%
trials = study.trials
if not trials.empty and objective in trials:
    figure, axes = plt.subplots(figsize=(9, 4))
    for trusted, mine in trials.groupby("trusted"):
        axes.plot(
            mine["trial"], mine[objective], "o" if trusted else "x", label="trusted" if trusted else "not"
        )
    for value in study.baselines.get(objective, []):
        axes.axhline(value, linestyle="--", color="grey")
    axes.set(xlabel="trial", ylabel=objective)
    axes.legend()
    settings = [name for name in trials if name.split(".")[0] in ("build", "env", "args")]
    best_first = trials[trials["trusted"]].sort_values(objective, ascending=objective.endswith("_s"))
    display(best_first[["label", *settings, objective, f"{objective}.low", f"{objective}.high"]].head(10))

# %% [markdown]
# ## Raw samples
#
# One row for each request. Of a large study, read only what you look at.

# %%
best = study.summary.best or study.summary.baseline
samples = study.read_samples(
    [record for record in study.records if best and record.identity == best.identity]
)
requests = samples.requests
for reason in samples.missing[:10]:
    print("not here:", reason)
if not requests.empty:
    display(requests.groupby("workload")[["ttft_s", "tpot_s", "e2e_s"]].describe(percentiles=[0.5, 0.95]).T)

# %%
if not requests.empty:
    figure, axes = plt.subplots(figsize=(9, 4))
    for workload, mine in requests.groupby("workload"):
        times = np.sort(mine["ttft_s"].dropna()) * 1e3
        axes.step(times, np.arange(1, len(times) + 1) / len(times), where="post", label=workload)
    axes.set(xlabel="time to first token, ms", ylabel="share of requests")
    axes.legend()

# %% [markdown]
# ## Where the time went, and what failed

# %%
display(pd.Series(study.status.seconds, name="seconds"))
pd.Series(study.status.reasons, name="configurations", dtype="int64")
