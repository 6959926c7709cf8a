"""What the reference is asked to write about: prose, code, numbers, several languages. Written for tuner."""

from __future__ import annotations

from typing import Final

PROMPTS: Final = (
    "Describe a walk through a harbour town early in the morning, before the market opens. Mention the "
    "boats, the "
    "smell of bread, and one person who is in a hurry.",
    "Write a Python function that reads a CSV file of temperatures by city and date, and returns the mean "
    "for each "
    "month. Explain its steps, then show how it is called.",
    "Explain to a twelve-year-old why the sky is blue and sunsets are red, without using formulas.",
    "Eine Freundin zieht in eine kleinere Wohnung. Schreibe ihr einen Brief mit fünf Ratschlägen, wie sie "
    "entscheidet, "
    "was sie behält.",
    "A shop sells pens for 1.20 and notebooks for 3.50. Anna buys 7 pens and 4 notebooks and pays with 30. "
    "Work out "
    "her change step by step, then make up two similar problems with solutions.",
    "Summarise the advantages and drawbacks of renewable energy for a town council that has to decide next "
    "week. Use "
    "short paragraphs with headings.",
    "Explique la différence entre une pile et une file d'attente en informatique, avec un exemple de la "
    "vie courante "
    "pour chacune.",
    "Write a C function that reverses a singly linked list in place, comment every line, and name its "
    "complexity.",
    "Tell a short story about a lighthouse keeper who finds a letter in a bottle and does not open it for "
    "a year.",
    "Give a recipe for a vegetable soup for four people as a list of ingredients and numbered steps, then "
    "say how to "
    "change it for the summer.",
    "Describe cómo funciona un ascensor a una persona que nunca ha visto uno.",
    "Compare walking, cycling and taking the bus to work in a table with four columns, then recommend one.",
)
