"""What the trials page itself says, by name, in the study's language. `static/elicitation/messages.js` fills the holes.

A study's own words (questions, instructions, consent) are texts of its protocol instead
(`elicitation/studies/texts.py`).
"""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

# Plain text. A `{hole}` is filled in by the browser; none of the numbers in them needs a plural form.
WORDING = {
    # buttons
    "next": _("Continue"),
    "back": _("Back"),
    "page": _("Page"),
    "start": _("Start"),
    "go_on": _("Go on"),
    "try_again": _("Try again"),
    "try_now": _("Try now"),
    "open_again": _("Open again"),
    "go_on_here": _("Go on here"),
    "read_again": _("Read the instructions again"),
    "give_again": _("Answer again"),
    "download": _("Download my answers"),
    # classes and shares
    "quoted": _("“{name}”"),
    "percent": _("{number}%"),
    "mixture": _("{share} {name}, {rest} {other}"),
    "confidence": _("{percent} sure"),
    # what is saved
    "saved": _("Saved {saved}/{total}"),
    "saving": _("Saved {saved}/{total}, saving…"),
    "unsent_here": _("Saved {saved}/{total}, {unsent} kept on this device"),
    "unsent_memory": _("Saved {saved}/{total}, {unsent} on this page only: keep it open"),
    # every trial
    "picture": _("Picture {number} of {total}"),
    "round": _("Round {number} of {total}"),
    "picture_alt": _("The picture to judge"),
    "show_picture": _("Show the picture"),
    "show_first": _("First show the picture. It stays for a moment only."),
    "picture_covered": _("The picture is covered now"),
    "ready": _("Ready to continue."),
    # sliders
    "not_set": _("not set yet"),
    "set_hint": _("press anywhere on the line"),
    "not_needed": _("not needed"),
    "cannot_tell": _("I cannot tell"),
    "cannot_tell_hint": _("Choose this if the picture gives you no idea at all."),
    "not_sure": _("not sure at all"),
    "sure": _("completely sure"),
    "missing_both": _("Set both sliders, or choose “I cannot tell”."),
    "missing_mixing": _("Set the slider between the names too."),
    "missing_confidence": _("Set the slider of how sure you are too."),
    "practice_mixing_none": _(
        "Slider between the names: the left end means only {left}, the right end means only {right}."
    ),
    "practice_mixing_end": _(
        "Slider between the names: you moved it to the end. It now says that only {name} can be seen."
    ),
    "practice_mixing_middle": _(
        "Slider between the names: it is in the middle. It now says that as much of one can be seen as of the other."
    ),
    "practice_mixing_side": _(
        "Slider between the names: you moved it towards {name}. It now says: {reading}."
    ),
    "practice_confidence_none": _(
        "Slider of how sure you are: from not at all on the left to completely on the right."
    ),
    "practice_confidence": _("Slider of how sure you are: it now says: {reading}."),
    "practice_cannot_tell": _("You chose “I cannot tell”. The sliders are not needed for such an answer."),
    "practice_slider_keys": _(
        "Keyboard: Tab goes from one control to the next, the arrow keys move a slider, Home and End go to its ends."
    ),
    # the grid
    "grid_picture": _("Picture {number} of {total}"),
    "missing_selection": _("Choose a picture."),
    "practice_grid_none": _("No picture is chosen yet. Press one to choose it."),
    "practice_grid": _("You chose picture {number} of {total}. It has a mark; press another one to change."),
    "practice_grid_keys": _(
        "Keyboard: Tab goes to the pictures, the arrow keys go from one to the next, the space bar chooses."
    ),
    # the row of pictures
    "row_picture": _("Picture {number} of {total} in the row"),
    "row_slider": _("Place in the row"),
    "step_left": _("To the left, towards {name}"),
    "step_right": _("To the right, towards {name}"),
    "row_keys": _("Keys: {left} goes to the left, {right} to the right."),
    "missing_steps": _("Look at more pictures of the row: at least {least} steps."),
    "practice_row": _("You see picture {number} of {total} in the row."),
    "practice_row_left": _("You went to the left, towards {name}."),
    "practice_row_right": _("You went to the right, towards {name}."),
    "practice_row_ends": _("The left end of the row is {left}, its right end is {right}."),
    "practice_row_end": _("This is the end of the row."),
    # worked example and practice
    "example_title": _("How an answer looks"),
    "example_lead": _(
        "Three people looked at the same thing. They answered differently, and none of them is wrong: we want to know"
        " what people see."
    ),
    "example_person_1": _("One person"),
    "example_person_2": _("Another person"),
    "example_person_3": _("A third person"),
    "example_sliders": _("says {mixture}, and is {confidence}."),
    "example_cannot_tell": _("has no idea, and chooses “I cannot tell”."),
    "example_grid": _("chose this picture of the grid."),
    "example_row": _("stopped at this picture of the row."),
    "practice_title": _("Try the controls"),
    "practice_lead": _("This is for practice only. Your answer is not judged."),
    # questions about the controls
    "check_title": _("A few questions before you start"),
    "check_lead": _("They make sure that the instructions are clear."),
    "check_wrong": _(
        "Not every answer was right. Please read the instructions once more. Tries that you have left: {rounds}."
    ),
    "check_failed_title": _("This is where it ends"),
    "check_failed": _(
        "The questions about the instructions were not answered correctly, so you cannot go on with this study. Thank"
        " you for your time. If you came from a recruiting site, the next page leads back there."
    ),
    # loading
    "preload_title": _("Loading the pictures"),
    "preload_progress": _("{loaded} of {total} loaded"),
    "preload_failed": _(
        "Pictures that could not be loaded: {numbers}. Check your connection, then try again."
    ),
    # starting, pausing, coming back
    "start_title": _("Ready"),
    "start_text": _("Questions: {total}. Take the time you need; every answer is saved as you go."),
    "welcome_title": _("Welcome back"),
    "welcome_text": _("You have answered {answered} of {total}. You go on where you stopped."),
    "bonus_title": _("Bonus"),
    "break_title": _("Time for a break"),
    "break_text": _("You have answered {answered} of {total}."),
    # a part of the trials that is asked otherwise than the one before
    "part_title": _("What comes next"),
    # connection and saving
    "hold_title": _("Waiting for the connection"),
    "hold_durable": _("Your answers are safe on this device. You can go on as soon as they are saved."),
    "hold_memory": _("Please keep this page open: your last answers are not saved yet."),
    "finishing": _("Saving your last answers…"),
    "missing_title": _("A few answers are missing"),
    "missing_text": _("Answers that did not reach us: {count}. Please give them again."),
    "missing_stuck": _(
        "If this page comes back, download your answers and send them to the people who invited you."
    ),
    "problem_title": _("Some answers could not be saved"),
    "problem_text": _(
        "We tried several times, and answers are still missing: {count}. It is not your fault. Please download your"
        " answers and send them to the people who invited you. “Report a problem” shows the code to give instead of a"
        " completion code."
    ),
    "problem_text_no_file": _(
        "We tried several times, and answers are still missing: {count}. It is not your fault. “Report a problem” shows"
        " the code to give instead of a completion code."
    ),
    # windows that end
    "elsewhere_title": _("You continued in another window"),
    "elsewhere": _(
        "This study is open in another window or on another device. Close this window, or go on here."
    ),
    "expired_title": _("Please open the study again"),
    "expired_memory": _(
        "This page is no longer connected to your place in the study, and this browser keeps nothing. Answers that are"
        " not saved yet are asked for again when you open it."
    ),
    "expired": _(
        "This page is no longer connected to your place in the study. Nothing is lost: answers not yet saved are sent"
        " when you open it again."
    ),
    "closed_title": _("This study page has closed"),
    "closed": _("It takes no more answers."),
    "broken_title": _("The study could not be opened"),
    "broken": _("Check your connection, then try again."),
    # choosing classes
    "class_search": _("Search for a name"),
    "class_search_hint": _("Type a few letters, or choose from the list of {count}."),
    "classes_found": _("Found: {count}"),
    "classes_none_found": _("There is no name like “{query}”."),
    "remove": _("Remove {name}"),
    "percent_of": _("Percent of {name}"),
    "percent_set": _("{percent}%"),
    "percent_follows": _("{percent}%, not set by you"),
    "percent_refused": _("Give a whole number from 0 to 100."),
    "practice_search_keys": _(
        "Keyboard: type a few letters, choose with the arrow keys and press Enter. Tab goes to the next control."
    ),
    # soft labels: the most probable class, a second one, and those it is not
    "no_alternative": _("No alternative"),
    "class_is_most": _("your first choice"),
    "class_is_second": _("your second choice"),
    "class_is_excluded": _("you ruled it out"),
    "class_taken": _("{name} cannot be chosen here: {reason}. Change that first."),
    "missing_form_most": _("Choose what it is most probably."),
    "missing_form_percent": _("Say how probable that is."),
    "missing_form_second": _("Choose what else it could be, or “No alternative”."),
    "missing_form_second_percent": _("Say how probable the second is."),
    "missing_form_order": _("What it is most probably cannot be less probable than what else it could be."),
    "missing_form_sum": _("The two percents come to {sum}. Together they can be 100 at most."),
    "practice_form_none": _("Nothing is chosen yet."),
    "practice_form_most": _("Most probably: you chose {name}, with {percent}%."),
    "practice_form_second": _("What else: you chose {name}, with {percent}%."),
    "practice_form_no_second": _("What else: you chose “No alternative”. It needs no percent."),
    "practice_form_excluded": _("Definitely not: you marked {names}."),
    "practice_form_keys": _(
        "Keyboard: Tab goes from one control to the next, the arrow keys choose or move, the space bar marks."
    ),
    "example_form": _("chose one thing with {percent}%, and another with {second}%."),
    "example_form_none": _("chose one thing with {percent}%, and “No alternative”."),
    # soft labels: linked bars
    "anything_else": _("Anything else"),
    "class_has_bar": _("has a bar already"),
    "class_is_rest": _("is all that is left: “Anything else” means it now"),
    "share_of": _("{name} {percent}%"),
    "bars_none": _("No bar is set yet."),
    "bars_now": _("You set {shares}. All others together: {rest}%."),
    "missing_search": _("Search for what it could be, and set its bar."),
    "missing_bar": _("Set the bar of {name} too, or remove it."),
    "missing_bars": _("Set at least one bar."),
    "practice_bars_none": _("No bar is set yet. Set one, and the others share what is left of 100."),
    "practice_bar": _("You set {name} to {percent}%. All others together have the remaining {rest}%."),
    "practice_bars_keys": _(
        "Keyboard: Tab goes from one control to the next, the arrow keys change a bar, or type its number."
    ),
    "example_thing1": _("one thing"),
    "example_thing2": _("another thing"),
    "example_thing3": _("anything else"),
    "example_bars": _("set these bars: {shares}."),
}


def client_messages() -> dict[str, str]:
    """The sentences in the active language, as the page's configuration holds them."""
    return {name: str(text) for name, text in WORDING.items()}
