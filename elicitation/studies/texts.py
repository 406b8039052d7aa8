"""The words a study starts with, as Markdown. A researcher changes them per study; their hash is kept with consent.

No text, example or check says or shows the true λ, or rewards guessing it: feedback is about the controls only.
"""

from __future__ import annotations

from typing import Any

from django.utils.safestring import SafeString
from markdown_it import MarkdownIt

# Raw HTML is shown as text, never passed on (checklist S6).
_markdown = MarkdownIt("commonmark", {"html": False})


def rendered(markdown: str) -> SafeString:
    """HTML of a study text; safe to show because the renderer escapes raw HTML in it and refuses script links."""
    return SafeString(_markdown.render(markdown))


def default_texts(title: str) -> dict[str, Any]:
    """Texts of a study with the interface `infer`."""
    return {
        "consent": (
            f"You are invited to take part in **{title}**.\n\n"
            "You will look at pictures that are each a blend of two pictures, and say how much of either you see, and"
            " how sure you are. There are no right answers: we want to know what *you* see.\n\n"
            "Taking part is voluntary. You can stop at any time by closing the window; what you answered until then is"
            " kept."
        ),
        "information": [
            ["How long", "about ten minutes"],
            [
                "What is stored",
                "your answers, how long each took, and the size of your window; no name, no address",
            ],
            [
                "What for",
                "research on how people see blended images; answers are published without saying who gave them",
            ],
            ["Who is responsible", "whoever sent you this link"],
        ],
        "boxes": [
            ["adult", "I am 18 years or older."],
            ["read", "I have read and understood the information above."],
            ["agree", "I want to take part in this research."],
        ],
        "instructions": [
            "### Two pictures in one\n\nEach picture you will see is a blend of two others: a bit of one, a bit of the"
            " other. We tell you which two things were blended.\n\nYour task is to say **how much of each you see**.",
            "### The first slider\n\nThe left end means that you see only what is named on the left; the right end,"
            " only what is named on the right. Anywhere between is a mixture of the two.",
            "### The second slider\n\nThen say **how sure you are**: 0 is a pure guess, 100 is certain.\n\nIf you"
            " really cannot tell, choose *I cannot tell*. That is an answer, too.",
        ],
        "comprehension": [
            {
                "prompt": "You see only what is named on the right. Where do you put the first slider?",
                "options": ["At the left end", "In the middle", "At the right end"],
                "correct": 2,
            },
            {
                "prompt": "You have no idea what the picture shows. What do you do?",
                "options": [
                    "Choose “I cannot tell”",
                    "Put the first slider in the middle",
                    "Close the window",
                ],
                "correct": 0,
            },
        ],
        "question": "How much of each do you see?",
        "confidence_question": "How sure are you?",
        "thanks": "Thank you. Your answers help us understand how people see blended images.",
    }
