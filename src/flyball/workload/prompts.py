"""Filler text for prompts, of a known length in tokens.

Each word is one token, with the space before it, in the tokenizers of SmolLM2 (byte-level BPE, 49k), Llama 2 and
Mistral 7B (SentencePiece, 32k) and Mistral NeMo (tekken, 131k), so `n` words are `n` tokens to a fraction of a per cent
for most models of English. A chat template adds its own (about 30 for SmolLM2); `usage` in the answer has the truth.
"""

from itertools import chain, cycle, islice

from numpy.random import Generator

_WORDS = """
    time year people way day man thing woman life child world school state family student group country problem hand
    part place case week company system program question work government number night point home water room mother
    area money story fact month lot right study book eye job word business issue side kind head house service friend
    father power hour game line end member law car city community name president team minute idea kid body
    information back parent face others level office door health person art history party result change morning
    reason research girl guy moment air teacher force education foot boy age policy music market sense nation plan
    college interest experience effect use class control care field development role effort rate heart show leader
    light voice wife mind price report decision son view relationship town road drive arm difference value building
    action season society tax director position player record paper space ground form event official matter center
    couple site project activity star table need court oil situation cost industry figure street image phone data
    picture practice piece land product doctor wall patient worker news test movie north love support technology
    step baby computer type attention film tree source hair look culture chance brother energy period course summer
    plant opportunity term letter condition choice rule south floor campaign material population call economy
    hospital church close future risk fire security bank west sport board subject officer rest behavior performance
    top goal second bed order author agency nature color store movement page race concern series language response
    animal factor decade article east artist scene stock career treatment approach size dog fund media sign thought
    list individual quality pressure answer resource meeting success cup amount ability staff character growth loss
    degree region television box training trade deal election feeling standard bill message analysis benefit lawyer
    section glass skill sister professor operation stage authority design sort knowledge station strategy truth song
    example environment leg public note chair smile river ocean mountain forest garden window kitchen bridge island
    stone metal wood silver gold iron green blue black white red brown small large great little young old long short
    high low early late hard easy strong weak fast slow deep wide open clear clean simple common rare full empty
    heavy bright dark warm cold hot dry wet sweet soft loud quiet rich poor safe free true false real main major
    minor local national foreign social human natural general special certain possible able ready sure happy sad
    angry proud afraid alone aware busy careful serious strange usual useful important necessary final recent
    current previous next last first third several many few most other same different such own go make take come see
    know get give find think tell become leave feel put bring begin keep hold write stand hear let mean set meet run
    pay sit speak lie lead read grow lose fall send build understand draw break spend cut rise buy wear choose ask
    seem turn start help play move live believe happen include continue learn add follow stop create allow watch
    remember consider appear wait serve expect stay
""".split()  # noqa: SIM905  # five hundred quotes would hide the words


def prompt_text(tokens: int, rng: Generator, *, shared_prefix_tokens: int = 0) -> str:
    """About `tokens` tokens: a beginning that is the same in every prompt, then at least one word of its own.

    vLLM caches prompts in blocks of 16 tokens; two draws of 16 words are alike with probability 512**-16.
    """
    shared = min(shared_prefix_tokens, tokens - 1)
    prefix = islice(cycle(_WORDS), shared)
    own = (_WORDS[index] for index in rng.integers(len(_WORDS), size=tokens - shared))
    return " ".join(chain(prefix, own))
