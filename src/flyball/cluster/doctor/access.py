"""The API server itself: does it answer, what does it let us see, and does it know the kinds that were rendered?"""

import re

from flyball.cluster.doctor.expected import ExpectedService
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.reading import rows
from flyball.cluster.doctor.symptom import Checked, broken, risky
from flyball.cluster.objects import dig

_PRE_STOP_SLEEP = (1, 30)
"""`lifecycle.preStop.sleep` is on by default from here (KEP-3960). 1.29 knows it and drops it without a word; what is
older refuses to apply it (500, "field not declared in schema")."""


def check_api(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """It answers, and is new enough for what was rendered."""
    if not facts.version:
        fix = "check the context, the VPN and the server; then run this again"
        return Checked(answer="", symptoms=[broken(facts.server, asked="/version", answered=facts.failure, fix=fix)])
    found = re.match(r"v?(\d+)\.(\d+)", facts.version)
    mine = [each for engine in expected.engines for each in rows(engine.pod, "containers")]
    sleeps = any(dig(each, "lifecycle", "preStop", "sleep") for each in mine)
    symptoms = []
    if found and sleeps and (int(found[1]), int(found[2])) < _PRE_STOP_SLEEP:
        answered = f"{facts.version}: refuses or drops lifecycle.preStop.sleep, and pods leave while requests arrive"
        fix = "upgrade to 1.30 or later"
        symptoms.append(risky(facts.server, asked="its version", answered=answered, fix=fix))
    return Checked(answer=f"{facts.server}, {facts.version}", symptoms=symptoms)


def check_answers(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """It went on answering until everything was asked."""
    if not facts.failure:
        return Checked(answer="to the end")
    fix = "run this again: what is not reached below was not asked"
    symptom = broken(facts.server, asked="every question of this walk", answered=facts.failure, fix=fix)
    return Checked(answer="", symptoms=[symptom])


def check_permissions(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """What this user may list (for this walk) and patch (for `flyball apply`)."""
    if facts.denied is None:
        return Checked(answer="not asked", is_known=False)
    uses = {"list": "the links that need them are not reached", "patch": "`flyball apply` would be refused"}
    symptoms = []
    for verb, consequence in uses.items():
        what = sorted(each.removeprefix(f"{verb} ") for each in facts.denied if each.startswith(f"{verb} "))
        if what:
            asked, answered = f"may {verb} (SelfSubjectAccessReview)", f"not {', '.join(what)}"
            fix = f"ask for the verb {verb} on them: {consequence}"
            symptoms.append(risky("this user", asked=asked, answered=answered, fix=fix))
    return Checked(answer="may list and patch all that is needed", symptoms=symptoms)


def check_kinds(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """The API server serves every kind of the rendered objects, in their version."""
    if facts.unserved is None:
        return Checked(answer="not asked", is_known=False)
    symptoms = [
        broken(each.kind, asked=f"{each.kind} of {each.api_version}", answered=each.what, fix=each.fix)
        for each in facts.unserved
    ]
    kinds = {(each.get("apiVersion"), each.get("kind")) for each in expected.objects}
    return Checked(answer=f"{len(kinds)} kinds, all served", symptoms=symptoms)
