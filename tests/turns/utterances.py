"""Turns of callers, written for these tests: what a person on the phone has said when the voice stops.

`agent said > caller says`, or the caller's words alone. Half of them as a recogniser without punctuation writes them.
"""

FINISHED = """
I would like to order a large pizza
can I get two of the chicken sandwiches
what time do you open on Sunday
where are you from
where is my order
I need to cancel my appointment
Cancel my subscription.
I'd like a table for four at seven thirty.
how much does it cost
what's the weather like tomorrow in Berlin
do you deliver to the old town
my name is Sarah Miller
my name is Tom.
no I don't think so
yes please
No, thank you.
that's all for today
that's all I need
please send me the invoice
turn the lights on in the kitchen
can you turn it on
please turn it off
I forgot my password
I can't log in
my card was declined yesterday
it doesn't work anymore
the screen stays black when I press the button
I already paid for that
who am I speaking to
what are you looking at
how are you
good morning
thanks a lot
okay thank you bye
never mind
could you repeat that
could you say that again please
Can you speak a bit slower?
I want to talk to a person
let me talk to a human
I don't know
I have no idea where it is
do you know where my parcel is
what would you like to know
which one do you recommend
I'm calling about my electricity bill
I am looking for a flat in the city centre
I lost my credit card
is there a parking lot nearby
are you open on Christmas day
it's on the second floor
the meeting is at nine
we arrive on Friday evening
remind me to call my mother at six
set a timer for ten minutes
play some jazz
what did you say
I think so
I hope not
not really
maybe later
sure go ahead
that sounds good to me
I agree with you
you can call me back tomorrow morning
my flight was cancelled
I booked a room for two nights
is breakfast included
how do I sign in
my phone number is five five five one two three four five six seven
it's 555 123 4567
my email is anna at gmail dot com
you can write to j.smith@example.org
the last four digits are nine zero two one
my zip code is nine four one zero three
Smith spelled s m i t h
I live in Hamburg
I live on Baker Street
there are four of us
we need two more chairs
she never called me back
he said it would arrive on Monday
if it rains can I get my money back
when I press the green button nothing happens
I'd like to change the date but keep the hotel
because of the delay I missed my train
you open at nine don't you
it's free isn't it
what happens if I cancel
is it too late to change the order
why is it so expensive
when does the next train to Leeds leave
tell me a joke
put me through to billing
I want a refund
it arrived broken
nobody answers the phone
I'm allergic to nuts
one moment was enough to convince me
the delivery takes about an hour
I'll be there in a minute
Please hold my order until Tuesday.
wait times are much too long
um I need a taxi to the airport
so uh what is the price
well I changed my mind
he knows what he is doing
that's what it is
I didn't get the email
we are very happy with it
can I pay with cash
could we move it to Thursday
my daughter has a fever
I'd like vegetarian food
there's something wrong with my bill
it was delivered to the wrong address
just a coffee
two tickets for the late show
a medium latte with oat milk
What's your name? > Jonathan
What's your name? > it's Priya
Which size would you like? > large
Which size would you like? > the large one
How many people? > four
Do you have an account with us? > yes I do
Are you still there? > I am
Would you like a receipt? > no
Is that correct? > it is
When do you want to come in? > Tuesday
When do you want to come in? > next Friday at noon
What is it about? > my broken dishwasher
What should I change? > the address
What is your phone number? > zero one seven one two three four five six seven eight
What are the last four digits? > three three nine one
What is the six digit code? > four four two one zero nine
What is your email address? > peter dot pan at outlook dot com
What is your email address? > I don't have one
Can I have your order number? > I can't find it
Which day suits you? > either
Please tell me your date of birth. > the third of May nineteen ninety
Why are you cancelling? > because it's too expensive
yeah hi so I bought a vacuum cleaner from you guys last week and it already stopped charging
I was charged twice for the same month
could you check if the Tuesday slot is still free
my son needs a dentist appointment he chipped a tooth
we'd be two adults and three kids
I think it starts with four eight
the app keeps crashing whenever I open the camera
is it okay if I pick it up tomorrow
oh that's way more than I wanted to spend
I'd rather come in the afternoon
what documents do I need to bring
do you guys take American Express
my internet has been down since this morning
hmm let's go with the second one
can somebody come by to fix the boiler
I've tried turning it off and on again
how soon can I get a replacement
okay then book the later one
it was supposed to be here two days ago
you know what just cancel the whole thing
I don't remember the exact date
are pets allowed in the apartment
my license plate is k l m four two seven
we moved to a new place in March
no it's the other account
nobody told me that there was a fee
does it come with a warranty
I'm just calling to confirm my reservation
the address on the letter is wrong
"""

UNFINISHED = """
I would like to order a
I would like to order a large pizza with
I'd like
I want
I need to
can I get
can you
could you please
what is
what is the
where is my
how much is
how do I
my name is
my last name is
and then I
and then
so I was thinking that
I was wondering if
I was wondering if you
because
because I
I can't come on Monday because
so that
I'm calling about the
I'm calling because
I am looking for
I am looking for a
I'm trying to
I want to talk about my
do you have
do you
is there
is there a
are there any other
if I
if you could
if the weather is
when I got home
I'd like a table for
I'd like a table for four at
we arrive on
the meeting is at
it's on the
there are
it was
it's
I'm
I've been
I have been waiting for
I think
I think that
I believe the
let me tell you
the problem is
the problem is that
the thing is
the reason I'm calling is
my question is
and
but
or
um
uh
so um
I would like um
well you know
I want the uh
two large pizzas and
two large pizzas and a
a coffee and
one with cheese and one with
not the red one but the
he said that
she told me to
they told me
my phone number is
my phone number is five five five
my phone number is five five five one two three
my number is five five five one
it's 555 123
you can reach me at five five five double
my email is
my email is john
my email is j o h n at
my email is john dot smith at gmail
my email is john at gmail dot
my order number is four
the code is
my zip code is nine four
it's spelled m e double
my name is Smith s m i
my last name is w double
the last four digits are nine zero
send it to
please send it to my
turn on
put it on the
give me
give me the
show me
remind me to
set a timer for
book me a
I'd like to go from London to
from Boston
between two and
at the corner of
I want something different from
it's a very
we need some really good
I have a new
I'd like a different
would you
would it be possible to
should I
why does it
why is the
who is
which of
what kind of
how about
what if
what about the
I don't know if
I don't know whether I
tell me if
I forgot to
I used my
I went there and they
she never called me back and I
he wants
it looks like
it seems that
on Monday I have to
I'll be there around
in order to
instead of
as soon as I
although it
unless you
until the
even though
either the blue one or
I have an appointment with doctor
I bought this in your
my phone number
my address
also
okay so
okay so I
yeah but
no I mean
What's your name? > it's
What's your name? > my name is
Which size would you like? > I'd like the
When do you want to come in? > on
When do you want to come in? > maybe on Tuesday or
What is your phone number? > zero one seven
What is your phone number? > five five five two one
What is the six digit code? > four four two
What is your email address? > peter dot pan
What is your email address? > peter dot pan at
What are the last four digits? > three three
Please give me your card number. > four one one one
How many people? > we are
Why are you cancelling? > because
Why are you cancelling? > well it's just that
yeah hi so I bought a vacuum cleaner from you guys last week and it already
yeah hi so I bought a vacuum cleaner from you guys last week and
I was charged twice for the same
I was charged twice for
could you check if the Tuesday slot is
could you check if
my son needs a dentist appointment he
my son needs a
we'd be two adults and three
we'd be
the app keeps crashing whenever I
the app keeps
is it okay if I pick it up
is it okay if
oh that's way more than I
I'd rather come in the
I'd rather
what documents do I need to
what documents do I
do you guys take
do you guys
my internet has been down since
my internet has been
can somebody come by to
I've tried turning it
how soon can I get a
how soon can
it was supposed to be
it was supposed to
you know what just cancel the
I don't remember the exact
are pets allowed in the
my license plate is k l
we moved to a new
no it's the other
the first one was okay but the second one
nobody told me that there
nobody told me that
does it come with
I'm just calling to
the address on the letter
"""

WAIT = """
hold on
Hold on a second.
hold on please
can you hold on for a moment
could you wait a minute
give me a second
just give me a moment please
give me a minute to find my card
one second
one moment please
just a minute
just a sec
wait
wait wait
wait a second
hang on
hang on a minute I'm looking for it
let me check
let me check my calendar
okay let me see
let me think about it
let me look that up
let me grab my wallet
let me ask my wife
um hold on let me find it
bear with me
sorry bear with me for a second
I need a moment
I need a second to think
hold on while I get my glasses
hold on my phone is ringing
I'm still looking
I'll be right back
uh one sec
yes just a moment
my order number is um let me see
my account number is hold on
I'm not done yet
let me finish
please don't hang up
What is your order number? > one second I have to find it
What is your order number? > let me get my receipt
When do you want to come in? > let me check with my husband
can you just hold on one second my daughter is calling
uh give me a sec I'm pulling up the email
okay let me just find my glasses
sorry one moment
let me write that down
hang on let me put you on speaker
wait I think I have it here somewhere
"""


def table(written: str) -> list[tuple[str, str]]:
    """Pairs of what the agent said and what the caller says."""
    lines = [line.strip() for line in written.strip().splitlines()]
    return [(asked.strip(), said.strip()) for asked, _, said in (("> " + line).rpartition("> ") for line in lines)]


ELSEWHERE = {
    "de": {
        "finished": (
            "Ich möchte einen Termin vereinbaren | Wann haben Sie geöffnet | Ja bitte | "
            "Nein danke das wars | Können Sie das bitte wiederholen | Ich habe mein Passwort vergessen | "
            "Wie geht es Ihnen | Das Licht an | Ich weiß nicht | Stornieren Sie meine Bestellung | "
            "Ich wohne in Hamburg | Was kostet das | Meine Postleitzahl ist zwei null eins vier vier | "
            "Wo bin ich"
        ),
        "unfinished": (
            "Ich möchte einen | Ich hätte gern | und dann | weil ich | Mein Name ist | Können Sie mir | "
            "Ich rufe an wegen | Das Problem ist dass | äh | Meine Postleitzahl ist zwei null | "
            "Wir brauchen einen Tisch für | Haben Sie | Ich suche eine"
        ),
        "wait": (
            "Moment bitte | Warten Sie mal | Einen kleinen Moment | Ich muss kurz nachsehen | Sekunde | "
            "Bleiben Sie dran"
        ),
    },
    "fr": {
        "finished": (
            "Je voudrais un café | Quelle heure est-il | Oui merci | Non merci c'est tout | "
            "Pouvez-vous répéter s'il vous plaît | J'ai oublié mon mot de passe | Je ne sais pas | "
            "Comment allez-vous | Je m'appelle Claire | Où est la gare | C'est combien | "
            "Annulez ma réservation"
        ),
        "unfinished": (
            "Je voudrais | Je voudrais un | Mon nom est | parce que | et puis je | Est-ce que vous | "
            "Je m'appelle | J'habite à | C'est pour | euh | Je cherche une | Le problème c'est que | "
            "Pouvez-vous me"
        ),
        "wait": (
            "Attendez une seconde | Un instant | Un moment s'il vous plaît | Laissez-moi vérifier | "
            "Ne quittez pas | Donnez-moi une minute"
        ),
    },
    "es": {
        "finished": (
            "Quiero cancelar mi cita | Qué hora es | Sí por favor | No gracias | Puede repetirlo | "
            "He olvidado mi contraseña | No lo sé | Cómo está | Me llamo Ana | Dónde está la estación | "
            "Cuánto cuesta | Vivo en Madrid"
        ),
        "unfinished": (
            "Quiero | Quiero un | Me llamo | porque | y entonces yo | Mi número es | Vivo en | Es para | "
            "eh | Estoy buscando un | El problema es que | Puede darme | Me gustaría"
        ),
        "wait": (
            "Espere un momento | Un segundo | Un momento por favor | Déjame ver | Déjeme buscar mi tarjeta | No cuelgue"
        ),
    },
    "it": {
        "finished": (
            "Vorrei un caffè | Che ore sono | Sì grazie | No grazie è tutto | Può ripetere | "
            "Ho dimenticato la password | Non lo so | Come sta | Mi chiamo Anna | Dov'è la stazione | "
            "Quanto costa | Abito a Roma"
        ),
        "unfinished": (
            "Vorrei | Vorrei un | Mi chiamo | e poi io | Il mio numero è | Abito a | È per | ehm | "
            "Sto cercando una | Il problema è che | Può dirmi | Ho bisogno di"
        ),
        "wait": (
            "Aspetti un attimo | Un secondo | Un momento per favore | Mi faccia controllare | "
            "Resti in linea | Fammi pensare"
        ),
    },
    "pt": {
        "finished": (
            "Quero cancelar a consulta | Que horas são | Sim por favor | Não obrigado | "
            "Pode repetir por favor | Esqueci minha senha | Não sei | Como está | Me chamo Ana | "
            "Onde fica a estação | Quanto custa | Moro em Lisboa"
        ),
        "unfinished": (
            "Quero | Quero um | Me chamo | porque | e então eu | Meu número é | Moro em | É para | hum | "
            "Estou procurando um | O problema é que | Você pode | Eu gostaria de"
        ),
        "wait": ("Espere um momento | Um segundo | Só um minuto | Deixa eu ver | Peraí | Não desligue"),
    },
    "nl": {
        "finished": (
            "Ik wil een afspraak maken | Hoe laat is het | Ja graag | Nee bedankt | Kunt u dat herhalen | "
            "Ik ben mijn wachtwoord vergeten | Ik weet het niet | Hoe gaat het | Ik heet Anna | "
            "Waar is het station | Wat kost dat | Ik woon in Utrecht"
        ),
        "unfinished": (
            "Ik wil | Ik wil een | Mijn naam is | omdat | en dan | Mijn nummer is | Ik woon in | "
            "Het is voor | eh | Ik zoek een | Het probleem is dat | Kunt u mij | Ik zou graag"
        ),
        "wait": (
            "Wacht even | Een momentje | Een moment alstublieft | Even kijken | Laat me even nadenken | "
            "Blijft u aan de lijn"
        ),
    },
    "pl": {
        "finished": (
            "Chcę odwołać wizytę | Która godzina | Tak poproszę | Nie dziękuję | Proszę powtórzyć | "
            "Zapomniałem hasła | Nie wiem | Nazywam się Kowalski | Gdzie jest dworzec | Ile to kosztuje | "
            "Mieszkam w Krakowie"
        ),
        "unfinished": (
            "Chcę | Chciałbym | Nazywam się | ponieważ | i potem | Mój numer to | Mieszkam w | "
            "To jest dla | yyy | Szukam | Problem polega na tym że | Czy może pan | Poproszę"
        ),
        "wait": ("Chwileczkę | Proszę poczekać | Moment | Niech sprawdzę | Sekundę | Proszę się nie rozłączać"),
    },
}
"""Fewer, in other languages, by what is to be found."""
