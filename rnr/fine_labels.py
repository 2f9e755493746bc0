"""General labels made special where the sentence or the name itself says so.

Annotated pools mostly know ``person``, ``organization`` and ``location``. A policy warm-started on them answers
"person" even where the schema offers "sportsperson" beside it: right span, wrong type. Here "the striker John Doe"
becomes a sportsperson, "Doe Airport" a public building and "Kenya" a nation, while the general label stays in the
schema, so that choosing the most special label that fits is something the warm start and the reward can teach.

The rules need no model: a word that ends the name, a role word beside the name, or the one domain that the sentence's
words belong to. They were written for this project and name no label of the CrossNER sets.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from rnr.types import Example, Mention


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A special label: its names, the general labels it is a part of, and what gives it away."""

    names: tuple[str, ...]
    within: tuple[str, ...]
    heads: str = ""
    """Last words of such a name."""
    roles: str = ""
    """Nouns that stand before the name ("striker X"), or after it ("X, a former striker")."""
    before: str = ""
    """Phrases right before the name ("directed by X")."""
    after: str = ""
    """Words right after the name ("X scored")."""
    topics: str = ""
    """Words that make every such mention of the sentence this kind, if no other kind's topics occur."""
    listed: frozenset[str] = frozenset()
    """Names known to be of this kind."""


NATIONS = frozenset(
    """Afghanistan|Albania|Algeria|Angola|Argentina|Armenia|Australia|Austria|Azerbaijan|Bahrain|Bangladesh|Belarus|Belgium
    |Bolivia|Bosnia|Botswana|Brazil|Bulgaria|Burma|Cambodia|Cameroon|Canada|Chad|Chile|China|Colombia|Congo|Costa Rica
    |Croatia|Cuba|Cyprus|Czech Republic|Czechoslovakia|Denmark|Dominican Republic|East Germany|Ecuador|Egypt|England
    |Estonia|Ethiopia|Fiji|Finland|France|Gabon|Georgia|Germany|Ghana|Great Britain|Greece|Guatemala|Guinea|Haiti
    |Honduras|Hungary|Iceland|India|Indonesia|Iran|Iraq|Ireland|Israel|Italy|Ivory Coast|Jamaica|Japan|Jordan
    |Kazakhstan|Kenya|Kosovo|Kuwait|Laos|Latvia|Lebanon|Liberia|Libya|Lithuania|Luxembourg|Macedonia|Madagascar|Malawi
    |Malaysia|Mali|Malta|Mauritius|Mexico|Moldova|Monaco|Mongolia|Montenegro|Morocco|Mozambique|Myanmar|Namibia|Nepal
    |Netherlands|New Zealand|Nicaragua|Niger|Nigeria|North Korea|Norway|Oman|Pakistan|Palestine|Panama
    |Papua New Guinea|Paraguay|People's Republic of China|Peru|Philippines|Poland|Portugal|Prussia|Qatar
    |Republic of Ireland|Romania|Russia|Rwanda|Saudi Arabia|Scotland|Senegal|Serbia|Sierra Leone|Singapore|Slovakia
    |Slovenia|Somalia|South Africa|South Korea|South Sudan|Soviet Union|Spain|Sri Lanka|Sudan|Suriname|Sweden
    |Switzerland|Syria|Taiwan|Tajikistan|Tanzania|Thailand|Togo|Trinidad|Tunisia|Turkey|Turkmenistan|U.K.|U.S.|UAE|UK
    |US|USA|USSR|Uganda|Ukraine|United Arab Emirates|United Kingdom|United States|United States of America|Uruguay
    |Uzbekistan|Venezuela|Vietnam|Wales|West Germany|Yemen|Yugoslavia|Zambia|Zimbabwe""".replace("\n", "")
    .replace("    ", "")
    .split("|")
)

CITIES = frozenset(
    """Amsterdam|Athens|Atlanta|Baghdad|Bangkok|Barcelona|Beijing|Berlin|Birmingham|Boston|Brisbane|Brussels|Bucharest
    |Budapest|Buenos Aires|Cairo|Calgary|Chicago|Cleveland|Cologne|Copenhagen|Dallas|Damascus|Delhi|Denver|Detroit
    |Dubai|Dublin|Edinburgh|Florence|Frankfurt|Geneva|Glasgow|Hamburg|Hanoi|Helsinki|Hong Kong|Houston|Istanbul
    |Jakarta|Jerusalem|Johannesburg|Karachi|Kiev|Kolkata|Lagos|Las Vegas|Leeds|Lima|Lisbon|Liverpool|London
    |Los Angeles|Lyon|Madrid|Manchester|Manila|Melbourne|Memphis|Mexico City|Miami|Milan|Minneapolis|Montreal|Moscow
    |Mumbai|Munich|Nairobi|Naples|Nashville|New Delhi|New Orleans|New York|New York City|Osaka|Oslo|Ottawa|Oxford
    |Paris|Perth|Philadelphia|Phoenix|Pittsburgh|Portland|Prague|Rio de Janeiro|Rome|Saint Petersburg|San Diego
    |San Francisco|Santiago|Seattle|Seoul|Shanghai|Sheffield|Stockholm|Stuttgart|Sydney|São Paulo|Tehran|Tel Aviv
    |Tokyo|Toronto|Tripoli|Turin|Vancouver|Venice|Vienna|Warsaw|Washington, D.C.|Zurich""".replace("\n", "")
    .replace("    ", "")
    .split("|")
)

KINDS = (
    Kind(
        names=("sportsperson", "athlete", "player of a sport", "competitor in sport", "sports star", "team member"),
        within=("person",),
        roles="player|footballer|striker|midfielder|defender|goalkeeper|quarterback|pitcher|jockey|boxer|wrestler|"
        "swimmer|cyclist|sprinter|golfer|cricketer|batsman|captain|coach|manager|forward|winger|skater|driver|champion",
        after="scored|defeated|beat|finished|signed|plays for|played for|won the match",
        before="coached by|managed by|defeating|defeated|beat",
        topics="season|league|match|goal|goals|tournament|championship|cup|football|baseball|basketball|hockey|cricket|"
        "tennis|rugby|olympics|olympic|medal|teammate|coach|playoff|playoffs|innings|striker|nba|nfl|nhl|mlb|fifa",
    ),
    Kind(
        names=(
            "screen performer",
            "actor",
            "film or stage star",
            "screen star",
            "cast member",
            "tv or film personality",
        ),
        within=("person",),
        roles="actor|actress|comedian|star|superstar|cast member|dancer|entertainer|presenter|host",
        before="starring|stars|starred|co-starring|featuring|played by|portrayed by|voiced by|starred with",
        after="starred|stars|plays the role|portrayed|co-starred|voiced|appears in|appeared in",
        topics="film|films|movie|movies|starring|cast|sitcom|episode|cinema|drama|actress|actor|screenplay|oscar",
    ),
    Kind(
        names=("film maker", "director or producer", "maker of films", "screenwriter or producer", "director"),
        within=("person",),
        roles="director|filmmaker|producer|screenwriter|cinematographer|film director|executive producer",
        before="directed by|produced by|filmed by|screenplay by|direction of",
        after="directed|produced the",
    ),
    Kind(
        names=(
            "musician",
            "music maker",
            "singer or composer",
            "recording artist",
            "performer of music",
            "composer or vocalist",
        ),
        within=("person",),
        roles="singer|rapper|vocalist|guitarist|drummer|bassist|composer|pianist|violinist|conductor|songwriter|dj|"
        "saxophonist|trumpeter|frontman|singer-songwriter|musician|cellist|tenor|soprano",
        before="sung by|composed by|performed by|produced and sung by|song by|album by|music by",
        after="sang|sings|composed|released|recorded|performs|performed live",
        topics="album|song|songs|band|concert|guitar|lyrics|orchestra|opera|music|singer|symphony|vocals|billboard|"
        "soundtrack|rapper|musician|remix|tour dates",
    ),
    Kind(
        names=(
            "author",
            "man or woman of letters",
            "novelist or poet",
            "literary figure",
            "pen name or author",
            "wordsmith",
        ),
        within=("person",),
        roles="author|novelist|poet|playwright|essayist|dramatist|biographer|columnist|journalist|critic|historian|"
        "translator|reporter|editor|correspondent",
        before="written by|novel by|book by|books by|novels by|poem by|story by|play by|edited by|according to",
        after="wrote|writes|published|argues",
        topics="novel|novels|book|books|poem|poems|poetry|literature|literary|short story|manuscript|essay|memoir",
    ),
    Kind(
        names=(
            "statesman",
            "holder of public office",
            "political figure",
            "elected official",
            "public official",
            "party leader",
        ),
        within=("person",),
        roles="president|minister|prime minister|senator|governor|mayor|chancellor|congressman|ambassador|secretary|"
        "premier|candidate|leader|deputy|MP|Sen.|Gov.|President|Senator|Governor|Mayor|Chancellor|Minister|Secretary|"
        "vice president|attorney general|councillor",
        before="voted for|elected|endorsed",
        topics="parliament|senate|congress|government|minister|presidential|campaign|ballot|coalition|republican|"
        "democrat|democrats|republicans|cabinet|diplomat|embassy|policy|legislation|voters|opposition",
    ),
    Kind(
        names=(
            "scholar",
            "man or woman of learning",
            "academic",
            "expert in a field of study",
            "inventor or thinker",
            "learned person",
        ),
        within=("person",),
        roles="biologist|physicist|chemist|mathematician|philosopher|economist|botanist|astronomer|professor|"
        "psychologist|sociologist|geologist|anthropologist|linguist|archaeologist|zoologist|naturalist|theorist|Dr.|"
        "Professor|engineer|inventor|physician",
        before="discovered by|described by|theory of|proposed by|named after|work of",
        after="discovered|described the|proposed|proved|theorized",
        topics="theory|theorem|mathematics|physics|chemistry|biology|botanist|philosophy|genus|taxonomy|professor|"
        "hypothesis|laboratory|astronomer|equation|economics",
    ),
    Kind(
        names=("monarch", "member of a royal house", "noble", "king or queen", "ruler", "royal person"),
        within=("person",),
        roles="king|queen|emperor|empress|prince|princess|duke|duchess|tsar|sultan|earl|pharaoh|King|Queen|Emperor|Prince|"
        "Princess|Duke|Sultan|Lord|Lady|count|baron",
        heads="I|II|III|IV|V|VI|VII|VIII|IX",
        after="reigned|ruled|succeeded to the throne",
        topics="throne|reign|dynasty|crown|royal|palace|coronation|heir|kingdom",
    ),
    Kind(
        names=("cleric", "religious figure", "holy person", "church leader"),
        within=("person",),
        roles="pope|bishop|archbishop|cardinal|saint|abbot|priest|rabbi|imam|monk|prophet|Pope|Bishop|Archbishop|Saint|St.",
        topics="bishop|diocese|monastery|gospel|parish|papal|archbishop|sermon",
    ),
    Kind(
        names=("soldier", "military commander", "officer of an army", "fighter"),
        within=("person",),
        roles="general|colonel|admiral|commander|lieutenant|marshal|sergeant|General|Colonel|Captain|Admiral|Commander|"
        "Lieutenant|Major|officer",
        before="commanded by|led by|troops of|army of",
        topics="army|troops|regiment|battle|battalion|infantry|brigade|siege|cavalry|squadron",
    ),
    Kind(
        names=("business leader", "entrepreneur", "company founder", "person of business"),
        within=("person",),
        roles="CEO|founder|chairman|executive|owner|businessman|entrepreneur|co-founder|investor|billionaire|banker",
        before="founded by|owned by",
        topics="shares|investors|shareholders|profits|startup|stock market|merger",
    ),
    Kind(
        names=("sports team", "athletic club", "club of players", "sports side", "sporting club"),
        within=("organization", "group"),
        heads="FC|F.C.|United|City|Rovers|Lions|Indians|Pirates|Senators|Bulls|Giants|Yankees|Jets|Eagles|Bears|Tigers|"
        "Rangers|Wanderers|Athletic|Lakers|Mets|Blackhawks|Cubs|Hawks|Raiders|Saints|Dodgers|Cowboys",
        roles="club|team|side|franchise",
        before="plays for|played for|signed for|signed with|match against|joined|coach of|captain of|win over",
        topics="season|league|match|goals|coach|playoffs|striker|midfielder|defender|football|baseball|nba|nfl|nhl|mlb|"
        "squad|quarterback|innings",
    ),
    Kind(
        names=("sports league", "championship", "sports competition", "sporting body"),
        within=("organization", "group"),
        heads="League|Conference|Championship|Tour",
        listed=frozenset(("NFL", "NBA", "NHL", "MLB", "MLS", "ISL", "UFC", "La Liga", "Serie A", "Bundesliga", "NCAA")),
    ),
    Kind(
        names=(
            "rock group",
            "music ensemble",
            "singing group",
            "performing group",
            "pop group",
            "orchestra or ensemble",
        ),
        within=("organization", "group"),
        heads="Band|Orchestra|Quartet|Choir|Ensemble|Philharmonic|Trio",
        roles="duo|trio|quartet|boyband|orchestra|rock group|pop group",
        before="album by|song by|concert of|concert by|sung by|lead singer of|frontman of|guitarist of|drummer of",
        topics="album|song|songs|concert|guitar|lyrics|singer|vocals|drummer|guitarist|tour dates|bassist",
    ),
    Kind(
        names=("record company", "music publisher", "label for records", "issuer of recordings"),
        within=("organization", "corporation"),
        heads="Records|Music|Recordings|Entertainment",
        before="released on|released by|signed to|signed with|released through",
    ),
    Kind(
        names=("place of learning", "school or college", "academy", "educational institution", "campus"),
        within=("organization", "location"),
        heads="University|College|School|Academy|Institute|Seminary|Polytechnic",
        before="studied at|graduated from|educated at|professor at|student at|degree from|taught at|attended",
    ),
    Kind(
        names=(
            "media house",
            "news outlet",
            "broadcaster or newspaper",
            "publisher of news",
            "channel or paper",
            "periodical or station",
        ),
        within=("organization", "corporation"),
        heads="News|Times|Post|Channel|Radio|TV|Television|Press|Network|Broadcasting|Herald|Tribune|Guardian|Gazette|Telegraph",
        roles="newspaper|broadcaster|network|station|channel|website|tabloid",
    ),
    Kind(
        names=(
            "business",
            "commercial firm",
            "maker or seller of goods",
            "trading company",
            "brand owner",
            "industrial concern",
        ),
        within=("organization",),
        heads="Company|Corporation|Corp|Corp.|Inc|Inc.|Ltd|Ltd.|Airlines|Airways|Bank|Industries|Studios|Motors|Pictures|"
        "Railway|Railroad|Group|Holdings|Systems|Technologies|Energy|Foods|Brothers|Productions",
        roles="company|firm|airline|manufacturer|retailer|distributor|bank|startup|automaker|developer",
        before="manufactured by|shares of|developed by|built by|founder of|ceo of",
        topics="shares|shareholders|profits|startup|acquisition|manufacturer|stock market|subsidiary",
    ),
    Kind(
        names=(
            "public authority",
            "government body",
            "arm of the state",
            "state institution",
            "department of state",
            "official body",
        ),
        within=("organization",),
        heads="Department|Ministry|Council|Commission|Congress|Parliament|Army|Police|Court|Senate|Navy|Government|Force|"
        "Agency|Assembly|Office|Committee|Administration|Bureau|Guard|Board",
        roles="agency|ministry|department",
    ),
    Kind(
        names=("movement or faction", "body of partisans", "political group", "campaign group"),
        within=("organization", "group"),
        heads="Party|Front|Alliance|Movement|Liberation Army|Coalition",
    ),
    Kind(
        names=("learned society", "association", "club or society", "membership body"),
        within=("organization",),
        heads="Association|Society|Foundation|Federation|Union|Institution|Trust|Fund|Club",
    ),
    Kind(
        names=(
            "nation",
            "sovereign state",
            "realm",
            "independent state",
            "land with a government",
            "state of the world",
        ),
        within=("location",),
        listed=NATIONS,
    ),
    Kind(
        names=("town or city", "city", "municipality", "urban area", "settlement", "metropolis"),
        within=("location",),
        heads="City|Town|Village",
        roles="city|town|village|suburb|municipality|capital",
        listed=CITIES,
    ),
    Kind(
        names=("administrative region", "province or county", "part of a nation", "regional unit", "state or county"),
        within=("location",),
        heads="County|Province|District|State|Oblast|Voivodeship|Prefecture|Region|Territory|Shire|Parish",
        roles="province|county|region|prefecture|district",
    ),
    Kind(
        names=("body of water", "river, lake or sea", "water feature", "waterway or sea"),
        within=("location",),
        heads="River|Lake|Sea|Ocean|Bay|Gulf|Creek|Strait|Falls|Canal|Channel|Reservoir",
        roles="river|lake",
        before="flows into|tributary of|banks of",
    ),
    Kind(
        names=("landform", "mountain, valley or island", "natural feature", "island or hill", "terrain feature"),
        within=("location",),
        heads="Mountain|Mountains|Valley|Island|Islands|Hill|Hills|Peninsula|Desert|Pass|Plateau|Peak|Coast|Cape|Range|Alps",
        roles="island|mountain|peninsula|volcano",
    ),
    Kind(
        names=("public building", "building or facility", "venue", "landmark", "built structure", "hall or station"),
        within=("location", "organization"),
        heads="Airport|Station|Stadium|Museum|Hall|House|Church|Castle|Bridge|Palace|Hospital|Theatre|Theater|Arena|Center|"
        "Centre|Tower|Cathedral|Abbey|Temple|Library|Hotel|Prison|Cemetery|Mall",
        roles="stadium|theatre|theater|museum|hotel|venue|airport",
    ),
    Kind(
        names=("street or park", "road", "public space", "thoroughfare"),
        within=("location",),
        heads="Street|Road|Avenue|Park|Square|Highway|Drive|Lane|Boulevard|Garden|Gardens",
    ),
    Kind(
        names=("motion picture", "film", "movie", "feature film", "cinema title", "screen work"),
        within=("creative work", "media", "product"),
        roles="film|movie|blockbuster|comedy|thriller|documentary|sequel|horror film",
        before="starring in|directed|starred in|watching|premiere of",
        topics="film|films|movie|movies|cinema|director|box office|directed",
    ),
    Kind(
        names=("television programme", "broadcast series", "show", "tv series", "broadcast title"),
        within=("creative work", "media", "product"),
        roles="series|sitcom|show|soap opera|drama|programme|season of|episode of",
        topics="series|sitcom|episode|episodes|television|season",
    ),
    Kind(
        names=("piece of music", "record or single", "musical work", "track or record", "tune"),
        within=("creative work", "media", "product"),
        roles="single|track|hit|anthem|mixtape|EP",
        topics="album|song|songs|single|lyrics|singer|billboard|band|remix",
    ),
    Kind(
        names=("printed work", "novel or play", "literary work", "title in print", "story or play"),
        within=("creative work", "media", "product"),
        roles="novel|trilogy|play|comic|bestseller|memoir|story",
        topics="novel|author|book|published|wrote|readers|reading",
    ),
    Kind(
        names=("video game", "computer game", "game title", "electronic game"),
        within=("creative work", "media", "product"),
        roles="game|videogame|expansion pack|shooter",
        topics="xbox|playstation|nintendo|game|gamers|gameplay|console",
    ),
)

_NAME_LIST = r"\W*(?:[A-Z][\w.'’-]*[\s,]+|and\s+|&\s+)*[\W]*$"


def refine(example: Example, share: float, seed: int) -> Example:
    """With probability ``share``, the example with every mention that betrays a special kind under that kind's label.

    Depends on ``seed`` and the uid alone. The general labels stay in the schema. One to three more special labels that
    fit nothing are added beside a general label when none of its mentions was left general, because only then is it
    certain that they do not apply.
    """
    generator = random.Random(f"fine/{seed}/{example.uid}")
    if generator.random() >= share:
        return example
    topics = set(_topics(example.sentence))
    kinds = [_kind(mention, example, topics) for mention in example.mentions]
    if not any(kinds):
        return example
    names = {kind: generator.choice(kind.names) for kind in KINDS}
    mentions = tuple(
        replace(mention, label=names[kind]) if kind else mention
        for mention, kind in zip(example.mentions, kinds, strict=True)
    )
    general = {mention.label for mention, kind in zip(example.mentions, kinds, strict=True) if kind}
    unsure = {mention.label for mention, kind in zip(example.mentions, kinds, strict=True) if not kind}
    others = [
        names[kind]
        for kind in KINDS
        if kind not in kinds and set(kind.within) & general and not set(kind.within) & unsure
    ]
    added = generator.sample(others, min(len(others), generator.randint(1, 3)))
    found = dict.fromkeys(names[kind] for kind in kinds if kind)
    schema = tuple(dict.fromkeys((*example.schema, *found, *added)))
    return replace(example, schema=schema, mentions=mentions, reasoning=None)


GENERAL_OF = {name: kind.within for kind in KINDS for name in kind.names}
"""Special label -> the general labels it is a part of."""


def _kind(mention: Mention, example: Example, topics: set[Kind]) -> Kind | None:
    possible = [kind for kind in KINDS if mention.label in kind.within]
    before = example.sentence[max(0, mention.start - 80) : mention.start]
    after = example.sentence[mention.end : mention.end + 70]
    for test in (_by_name, _by_neighbours):
        for kind in possible:
            if test(kind, mention.text, before, after):
                return kind
    by_topic = [kind for kind in possible if kind in topics]
    return by_topic[0] if len(by_topic) == 1 else None


def _by_name(kind: Kind, text: str, _before: str, _after: str) -> bool:
    words = text.split()
    titled = words[0] in kind.roles.split("|") or words[-1] in kind.heads.split("|")
    return text in kind.listed or (len(words) > 1 and titled)


def _by_neighbours(kind: Kind, _text: str, before: str, after: str) -> bool:
    roles = _words(kind.roles)
    apposition = r"\W*(?:is|was|,|\([^)]*\)|\s)*\s*(?:an?|the)\s(?:[\w-]+\s){0,3}"
    return bool(
        (roles and re.search(rf"\b(?:{roles})s?{_NAME_LIST}", before))
        or (kind.before and re.search(rf"\b(?:{_words(kind.before)})\W*$", before))
        or (kind.after and re.match(rf"\W*(?:{_words(kind.after)})\b", after))
        or (roles and re.match(rf"{apposition}(?:{roles})\b", after))
    )


def _topics(sentence: str) -> Iterator[Kind]:
    for kind in KINDS:
        if kind.topics and re.search(rf"\b(?:{_words(kind.topics)})\b", sentence, re.IGNORECASE):
            yield kind


@cache
def _words(alternatives: str) -> str:
    return "|".join(re.escape(word) for word in alternatives.split("|")) if alternatives else ""
