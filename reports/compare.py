# Two studies: two models, two hosts, two llama.cpp versions. Did the upgrade slow us down?

# %% [markdown]
# # Which of two studies is faster, by how much, and how sure is that?
#
# Launches of the two studies were not made in turns: between them the host may have changed, or be another
# one. The intervals below know nothing of that. Where both can be launched on one host, `tuner compare A B`
# is the proof; this tells whether it is worth running.

# %% tags=["parameters"]
STUDIES = ["before", "after"]
STATES = [None, None]  # a state folder for each; None: TUNER_STATE, else the usual one
STORAGES = [None, None]
FIGURE = None  # such as "load.output_tokens_per_s"; None: the first study's objective

# %%
import matplotlib.pyplot as plt
import pandas as pd

import tuner
from tuner.model import Direction
from tuner.stats import compare_launches

before, after = (
    tuner.load_study(name, state=state, storage=storage)
    for name, state, storage in zip(STUDIES, STATES, STORAGES, strict=True)
)
objective = before.objectives[0]
figure_name = FIGURE or objective.figure
higher_is_better = next(
    (o.direction is Direction.MAXIMIZE for o in before.objectives if o.figure == figure_name),
    not figure_name.endswith("_s"),
)
# Two hosts, or two versions, may have a study of one name each.
OLD, NEW = STUDIES if STUDIES[0] != STUDIES[1] else [f"{name} ({n})" for n, name in enumerate(STUDIES, 1)]
for name, study in ((OLD, before), (NEW, after)):
    print(f"{name}: {study.verdict}")

# %% [markdown]
# ## What differs between them
#
# A figure can be compared only where both studies asked the same of the same model.


# %%
def facts(study):
    """Of the last launch: host, versions, model."""
    versions = study.versions
    found = versions.iloc[-1].drop(["label", "folder"]) if not versions.empty else pd.Series(dtype="object")
    source = study.store.source
    return pd.concat([found, pd.Series({"source": source.origin if source else None})])


known = pd.DataFrame({OLD: facts(before), NEW: facts(after)})
known[known[OLD].fillna("") != known[NEW].fillna("")]

# %%
import difflib

difference = difflib.unified_diff(
    before.file_text.splitlines(), after.file_text.splitlines(), OLD, NEW, lineterm="", n=0
)
print("\n".join(difference) or "The study files are the same.")

# %% [markdown]
# ## Launches of the defaults, and of each study's answer
#
# Of the defaults every launch counts: baseline, drift anchors and confirmation. Of an answer only its
# confirmation launches do, because its trial was chosen for having been lucky.


# %%
def launches(study, who):
    """Values of one contender's launches."""
    if who == "defaults":
        baseline = (
            study.baselines[study.baselines["baseline"] == "default"]
            if not study.baselines.empty
            else study.baselines
        )
        tables = [baseline, study.anchors, _confirmed(study, "default")]
    else:
        best = study.summary.best
        name = None if best is None else best.label.removeprefix("baseline ")
        tables = [_confirmed(study, name)]
    values = [table[figure_name].dropna() for table in tables if figure_name in table]
    return pd.concat(values).tolist() if values else []


def _confirmed(study, name):
    table = study.confirmations
    return table if table.empty else table[table["current"] & (table["contender"] == name)]


answers = []
for who in ("defaults", "answer"):
    old, new = launches(before, who), launches(after, who)
    if not old or not new:
        answers.append(f"{who}: cannot tell, there are no launches of it in both studies")
        continue
    found = compare_launches(old, new, higher_is_better=higher_is_better, confidence=0.99)
    interval = "too few launches for an interval"
    if found.low is not None and found.high is not None:
        interval = f"{found.low - 1:+.1%} to {found.high - 1:+.1%}, with 99 % confidence"
    answers.append(
        f"{who}: {NEW} is {found.verdict.replace('cannot tell', 'not shown to differ')} "
        f"than {OLD} in {figure_name}: {found.ratio - 1:+.1%} ({interval}; "
        f"{len(old)} and {len(new)} launches)".replace("not shown to differ than", "not shown to differ from")
    )
print("\n".join(answers))

# %%
figure, axes = plt.subplots(figsize=(9, 4))
labels = []
for who in ("defaults", "answer"):
    for name, study, marker in ((OLD, before, "o"), (NEW, after, "s")):
        values = launches(study, who)
        axes.plot([len(labels)] * len(values), values, marker)
        labels.append(f"{name},\n{who}")
axes.set_xticks(range(len(labels)), labels)
axes.set_ylabel(figure_name)
axes.set_ylim(bottom=0)
