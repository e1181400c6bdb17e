"""Turns of callers that no rule was made for: orders, addresses, dates, complaints, spelled names.

The same format as `utterances`. `FINISHED` and `UNFINISHED` were written first; the rules that were made after a look at
what was wrong in them brought 156 of 191 to 184. `LATER_FINISHED` and `LATER_UNFINISHED` were written after those rules:
they are what says how the rules do on what nobody has seen. The rules before got 109 of these 150, these rules 134 at
first sight; a second look at what was wrong brought that to 143. What is still wrong is not to be mended by listing
the sentence.
"""

WHOLE = """
what is it like
I'm in
hello you
let me think about it and call back tomorrow
that's what it's for
who is it for
where are you from
come on in
hey you
what do you have
what's that for
Would you like to join the plan? > I'd like to
Shall we go ahead with the upgrade? > I'm in
"""
"""Whole, although the last word is one that mostly is not."""

OPEN = """
I'd like to
How can I help you? > I'd like to
Where are you now? > I'm in
do you have
what's the name of
I'm calling for
"""
"""And the same words where they are not."""

FINISHED = """
hi I'd like two large pepperoni pizzas and a bottle of coke
can I pick it up at half past six
make that three instead of two
leave the onions off
I'll have the same as last time
what does it come with
is there anything else I should know about
what kind of dressing does it come with
who do I make the check out to
which gate does it leave from
what floor are you on
what are you waiting for
who am I supposed to talk to
which department should I ask for
what's this charge for
what was the name of the place you told me about
how many people is it good for
who did you say you were calling from
what's the parking like
what was the weather like over there
which car did they come in
you can drop it off with the neighbors
just leave it where it is
the package never showed up
the heating keeps cutting out
I can't get the app to turn on
the printer won't switch off
he told me to come back in
we ran out
my car broke down and I need it picked up
I'd like to check in
can somebody let me in
please sign me up
I want to opt out
he just hung up
I already filled it in
it's fourteen Elm Street apartment three b
my address is two twenty one Baker Street
it's the blue house across from the church
send it to the office in Denver
the twenty second of May
sometime next week would work
the day after tomorrow works for me
any day but Wednesday
it has to be before noon
from the third to the tenth of August
I've been a customer for eleven years
this is the third time I've had to call
nobody got back to me
that's not what I signed up for
that's the one I was talking about
you should be ashamed of yourselves
I'm really disappointed
I was on hold for forty minutes
the driver left it out in the rain
it's not my fault that it got lost
you people never pick up
I would like my money back
I want to speak to whoever is in charge
that's k o w a l s k i Kowalski
it's spelled n g u y e n Nguyen
O'Brien with an apostrophe
first name Anna last name Weiss
it's Jean Pierre with a hyphen
I guess that'll do
let me sleep on it and get back to you
let me know when it's ready
tell him I called
I'll think about it and let you know
we'll see how it goes
that would be great
I have one but it doesn't work
I don't think I have one
that depends on how much it is
whatever works best for you
not that I know of
not as far as I know
it's the only one I have
ask for Maria when you get there
I'm all set
What can I do for you? > I'm locked out
Which line are you calling about? > the one ending in four two
Is the router on? > it is but nothing happens
Would you like to keep your number? > I'd love to
How did you hear about us? > a friend told me
What is the problem with the order? > it hasn't come in
What time suits you? > whenever you're free
Do you want to add insurance? > I'd prefer not to
Anything else? > no that's about it
Where should we send it? > the address you have on file
Which seat would you like? > something near the front
Are you ready to order? > yes we are
Whose name is it under? > it's under Patel
Did it arrive? > not that I'm aware of
"""

UNFINISHED = """
hi I'd like two large pepperoni pizzas and
can I pick it up at
make that three instead of
could you leave the onions off the
I'll have the same as
I'd like to order some flowers for my
can I get that without any
and on the second one I want
do you have anything that's
does it come with any
who do I make the check out
I'm looking for a place that
which one would be better for
is it possible to get it by
what I wanted to ask is
what I need is a
what I don't understand is why
where it says total on the
when I called last week they
every time I try to
the package was supposed to arrive on
I've been trying to reach somebody in
I'm calling on behalf of
I was told that somebody would
your driver just left it in front of
it's not my fault that
I've never been so
this is the third time that
the man I spoke to said
the woman on the phone told me that
I ordered it on the fourteenth and it
I paid for express shipping but
I don't want a refund I want
you charged me twice for
the thing I signed up for was
my address is two twenty one
my address is fourteen Elm
it's fourteen Elm Street apartment
it's across from the
you go down the road and then turn
take the second exit onto
the nearest station is called
the appointment is on the twenty
it has to be before the
any day except
from the third to the
between the third and
sometime around
the week of
can we make it a little
my date of birth is the fourth of
that's k o w
it's spelled n g u
my last name is Kowalski that's k o
it's b as in boy
with a double
first name Anna last name
the e-mail is info at
it's maria dot
my reference number is a b seven
my card number is five one zero five
the expiry date is oh nine
it starts with three seven
my tracking number begins with
I need to cancel but I also
before I do that can you
if I pay today will you
if I send it back this week
since you're already
because my wife is
my husband and I are
my mother who lives in
is it true that
could you tell me whether the
can you explain to me how
I just wanted to know how much it
well the last time I
so basically what happened is
the other thing I wanted to mention is
not on Tuesday but on
I'd say about
let me give you my
I'll need the small one the medium one and
I want it delivered to
please charge it to the card that
tell him that I
I'm a bit worried about
What can I do for you? > well I was just
Which line are you calling about? > the one ending in
What went wrong? > so I plugged it in and
Where should we send it? > to my office at
How many people will there be? > there'll be me and
What is your date of birth? > the second of
Can I take your name? > yeah it's
Why are you returning it? > it's just too
What time suits you? > any time after
What is your address? > thirty four
"""

LATER_FINISHED = """
who's it from
what is it made of
what's it about
what's that supposed to look like
which platform does it leave from
who should I address it to
what are they charging me for
where do I send it to
who was I just talking to
do you know who it's from
I don't know what it's for
that's what I'm calling about
it's nothing to worry about
that's all I can think of
there's something I need help with
I don't know who I spoke to
she's the person I dealt with
hey you
are you still in
can you fit me in
could you squeeze us in
let us in please
please count me in
my card got locked out
the whole thing fell through
they never showed up
he drove off
my time is up
the lights went out
the deal is off
it's all sold out
I need to get this sorted out
could you look it up
can you put me down for two
please take me off
it turned out fine
I've given up
sign me up
let me talk to my wife and call you back
I'll check with my boss and get back to you
let me think it over and call again tomorrow
I was born on the eighth of May
it'll be sometime in May
sixty six Oak Lane
seven Harbour Road second floor
it's forty five North Avenue
you can deliver it to the front desk
two burgers one fries and a shake
no pickles on the second one
can you make it gluten free
I'd like my usual
you sent me the wrong size
the box was empty
I want a manager on the phone
nobody told me about any fee
it broke after two days
it's Katherine with a k
m as in Mary then e y e r Meyer
the last name is Garcia
the ninth of November at two
half past eleven is fine
either Thursday or Friday works
anything before ten is too early
it's my mother's account
I can't make it today
What's the matter? > the dishwasher won't turn on
Do you want to go ahead? > I want to
Can you confirm your street? > Maple Drive
Have we met your expectations? > not really no
Will you be paying by card? > I will
"""

LATER_UNFINISHED = """
who's the package
what is the name of the
what's the name of
what is the address of
what's the policy on
how much is it for
how far is it from
how long do I have to
which one of the
do you know who
I don't know what it
I want to know whether
what I'm calling about is
that's because your
it's about the
there's something I
she's the person who
the person that I
can you fit me in on
could you squeeze us in at
the whole thing is
they never showed up and
my time is
could you look up the
put me down for
please take me off the
it turned out that the
let me talk to my
the flight I booked was
I was born on the
I was born on the eighth of
it'll be sometime in
my address is sixty
I live at seven Harbour
deliver it to forty
two burgers one fries and
no pickles on
can you make it
I'd like my
you sent me the
the box I got was
I want a manager to
nobody told me about the
it broke after
it's Katherine with a
m as in Mary then
my last name is spelled g a r
the ninth of
half past
either Thursday or
anything before
it's my
I can't make it because
if you could just
so when I opened it
and then your colleague
the guy who
he promised me that
she said that they would
that would be the
after I paid the
before I sign anything I
would it be okay if I
one large coffee two
with extra cheese and
could I also get
my policy number is seven two
the confirmation code was b as in
it was delivered to the
it's between the
What's the matter? > the dishwasher keeps
What's the matter? > every time we
Can you confirm your street? > it's called
What's your house number and street? > twenty one
When was the purchase? > I think it was in
Who is the recipient? > my brother his name is
What size? > I usually take a
How would you like to pay? > with my
Anything else? > yes I also
Do you want to keep it? > well it depends on
"""
