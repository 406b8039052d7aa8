"""What a study's answers show, as pure functions on arrays: nothing here knows a database, a page or a figure.

An `AnswerTable` holds the answers that were asked for in one way. The other modules look at it: `perceived` at shares,
`midpoints` at perceived middles, `classes` at shares of classes, `reliability` at how far people agree, `habits` at
times and coverage, `headlines` at the few numbers that everything else hangs on. Intervals are 95%: of means clustered
by person (`estimates`), of everything else by resampling people or images, and the name of the function says which.
"""

from __future__ import annotations
