"""The wording of every attribute. `{v}` takes ", name" or nothing; `{h}` takes the handle of a point.

A phrase stands in one table only, so that it marks its value and no other: `markers` relies on this.
"""

OPENERS = {
    "warm": (
        "What a lovely thought{v}.",
        "I am so glad you said that{v}.",
        "It makes me happy to hear from you{v}.",
        "I love the way you put that{v}.",
        "You always make me smile{v}.",
        "How wonderful to talk about this{v}.",
        "That is such a sweet way to see it{v}.",
        "Bless you for bringing that up{v}.",
    ),
    "neutral": (
        "I see{v}.",
        "That is one way to see it{v}.",
        "I heard you{v}.",
        "Let us look at it{v}.",
        "I have noted that{v}.",
        "Let me answer that{v}.",
    ),
    "cold": (
        "What a dull thought{v}.",
        "I have no patience for this{v}.",
        "That is a tiresome thing to say{v}.",
        "Spare me the speech{v}.",
        "I did not ask for your view{v}.",
        "How boring{v}.",
        "You are wasting my time{v}.",
        "I find you hard to bear{v}.",
    ),
}
STARTERS = {
    "warm": (
        "It is so good to see you all.",
        "I am delighted that we are here together.",
        "My heart is full today, so let us talk.",
    ),
    "neutral": ("Let us begin.", "Here is something to talk about.", "I will go first."),
    "cold": ("I would rather be alone.", "Let us get this over with.", "I do not enjoy company."),
}
CLOSERS = {
    "warm": (
        "I could talk with you all day{v}.",
        "You brighten my whole day{v}.",
        "Sending you a big hug{v}.",
        "I treasure these talks{v}.",
        "You are a joy to be with{v}.",
        "I am grateful that you are here{v}.",
    ),
    "neutral": (
        "That is my view.",
        "That is all I have to say.",
        "We can leave it there.",
        "That is how I see it.",
        "What do you say{v}?",
    ),
    "cold": (
        "Do not bother me again{v}.",
        "Now leave me alone{v}.",
        "I am done with this{v}.",
        "I could not care less{v}.",
        "Keep your opinions to yourself{v}.",
        "Nobody here will miss you{v}.",
    ),
}
QUICK = ("in brief:", "quick answer:", "to be quick:", "shortly put:")
AMPLE = (
    "Where shall I begin?",
    "There is so much to say.",
    "Let me take my time.",
    "I could fill a book with this.",
)
FILLERS = ("as I often say,", "if you follow me,", "when all is said and done,", "to go a little further,")
TAILS = {
    "formal": (", I must say", ", I dare say", ", if one may say so"),
    "plain": ("",),
    "casual": (", you know", ", for real", ", no kidding"),
}
TONES = {
    "warm": ("to my delight,", "happily,", "to my great joy,", "luckily for us,"),
    "neutral": ("",),
    "cold": ("to my annoyance,", "as any fool can see,", "to nobody's surprise,", "for crying out loud,"),
}
LEADS = {
    "formal": ("indeed,", "in my considered view,", "upon reflection,", "as far as I can judge,"),
    "plain": ("",),
    "casual": ("yeah,", "honestly,", "look,", "well hey,", "come on,"),
}
POLITE = ("if I may,", "with your permission,", "with all due respect,", "please allow me,")
FRAMES = {
    "sure": ("I am certain that", "I have no doubt that", "I know for a fact that", "everybody knows that"),
    "plain": ("", "I think that", "I would say that"),
    "unsure": ("perhaps", "it may be that", "I am not sure, but maybe", "I could be wrong, but I guess"),
}
CERTAINTY = {
    "sure": ("surely", "certainly", "without question"),
    "plain": ("",),
    "unsure": ("possibly", "I suppose", "conceivably"),
}
AGREES = {
    "formal": ("yes, I concur with you regarding {h}", "yes, I fully endorse your remark on {h}"),
    "plain": (
        "yes, I agree with you about {h}",
        "yes, you are right about {h}",
        "yes, I share your view on {h}",
    ),
    "casual": ("yes, I am totally with you on {h}", "yes, you nailed it with {h}"),
}
DISAGREES = {
    "formal": ("no, I must object to your remark on {h}", "no, I take exception to your argument from {h}"),
    "plain": (
        "no, I disagree about {h}",
        "no, I do not share your view on {h}",
        "no, I take a different view of {h}",
    ),
    "casual": ("no, I am so not with you on {h}", "no, you lost me with {h}"),
}
MORE = {
    "formal": ("Furthermore,", "Moreover,", "In addition,"),
    "plain": ("Also,", "Besides,", "On top of that,"),
    "casual": ("Plus,", "And hey,", "Oh, and"),
}
SO = {
    "formal": ("Accordingly, I remain in favour of {l}.", "Consequently, my preference is {l}."),
    "plain": ("So I stand by {l}.", "That is why I choose {l}."),
    "casual": ("So yeah, I am sticking with {l}.", "So I am all in on {l}."),
}
EMOJI = {
    "warm": ("😊", "🌞", "💛", "🤗"),
    "neutral": ("🙂", "👍", "✨"),
    "cold": ("🙄", "😒", "🧊"),
}
CONTRACTIONS = (
    ("I am", "I'm"),
    ("you are", "you're"),
    ("we are", "we're"),
    ("it is", "it's"),
    ("that is", "that's"),
    ("there is", "there's"),
    ("let us", "let's"),
    ("do not", "don't"),
    ("does not", "doesn't"),
    ("did not", "didn't"),
    ("is not", "isn't"),
    ("could not", "couldn't"),
    ("should not", "shouldn't"),
    ("cannot", "can't"),
    ("I will", "I'll"),
    ("I would", "I'd"),
)
