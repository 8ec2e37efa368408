"""What became of a payload in one program, as aspects: words by which the programs can be compared. An aspect is what
happened (accepted, refused), or a property of what was passed on; texts, times and order of fields are left out."""

import hashlib
import re

from wire import Garbled, Incomplete, read_all, read_request, read_response

# Fields that a proxy adds of its own. Elements of them that the payload had must be seen again.
ADDED = {b"via", b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-request-id"}
FRAMING = {b"content-length", b"transfer-encoding"}
VOLATILE = {b"date", b"server", b"sec-websocket-accept"}
PERSISTENCE = {b"close", b"keep-alive"}
MOST_SHOWN = 32


def show(data):
    """Bytes for a cell of a table."""
    text = "".join(
        chr(c) if 32 <= c < 127 and chr(c) not in "|`\\" else f"\\x{c:02x}" for c in data[:MOST_SHOWN]
    )
    return f"`{text}`" + (f"... ({len(data)} bytes)" if len(data) > MOST_SHOWN else "") if data else "empty"


def shown_name(name):
    return show(name).strip("`")


def _kept(name, value, payload):
    """What of a field is to be compared; None for nothing."""
    elements = [element.strip() for element in value.split(b",")]
    if name in ADDED:
        was_sent = name + b":" in payload.lower()
        elements = [element for element in elements if was_sent and element and element in payload]
    elif name == b"connection":
        elements = [element.lower() for element in elements if element and element.lower() not in PERSISTENCE]
    else:
        return value
    return b", ".join(sorted(elements) if name == b"connection" else elements) if elements else None


def field_aspects(fields, payload, prefix, without=()):
    aspects = {}
    for name, value in fields:
        kept = None if name in FRAMING or name in without else _kept(name, value, payload)
        if kept is not None:
            key = f"{prefix}{shown_name(name)}"
            word = "of its own" if name in VOLATILE and kept not in payload else show(kept)
            aspects[key] = f"{aspects[key]}, {word}" if key in aspects else word
    return aspects


def _digest(body):
    """Only the beginning of a body is shown; this compares it whole."""
    return f"{len(body)} bytes {hashlib.sha256(body).hexdigest()[:8]}"


def numbered(i):
    return "" if i == 0 else f"request {i + 1} "


def request_aspects(message, payload, i):
    method, target, minor = message.start
    aspects = {
        numbered(i) + "method": show(method),
        numbered(i) + "target": show(target),
        numbered(i) + "version": f"1.{minor.decode()}",
        # chunked or with a length: a proxy that has read ahead may choose
        numbered(i) + "framing": "none" if message.framing == "none" else "some",
        numbered(i) + "body": show(message.body),
        numbered(i) + "digest": _digest(message.body),
    }
    aspects.update(field_aspects(message.fields, payload, numbered(i) + "field "))
    aspects.update(field_aspects(message.trailers, payload, numbered(i) + "trailer "))
    return aspects


def is_of_origin(message):
    return bool(message.values(b"x-origin"))


def answer_word(message):
    status = int(message.start[1])
    if is_of_origin(message):
        return "forwarded" if status == 200 else "refused by the origin"
    if status < 200:
        return str(status)
    if status in (408, 504):
        return "no answer"
    return "refused" if 400 <= status < 600 else str(status)


def _read_answers(received, to_head):
    if not to_head:
        return read_all(received, read_response)
    return read_all(received, lambda data, at: read_response(data, at, True))


def observe_request(payload, client, origin):
    """Aspects of a payload of REQUESTS, and what is wrong with it by any standard."""
    sent = b"".join(payload.parts)
    answers, wrong = _read_answers(client.received, payload.to_head)
    words = [answer_word(message) for message in answers]
    while words and words[-1] == "no answer":
        words.pop()
    faults = [f"the client received: {wrong}"] if wrong else []
    if client.end == "open":
        faults.append("the client's connection was never ended")
    seen, garbled, reports = [], [], []
    for conversation in origin.conversations:
        requests, rest = read_all(conversation.received, read_request)
        seen += [request for request in requests if request.whole]
        reports += conversation.reports
        if rest and not rest.endswith("without an end"):
            garbled.append(rest)
        elif rest and not conversation.ended:
            faults.append(f"the origin still waits: {rest}")
    faults += [f"the origin received: {what}" for what in garbled]
    for message in answers:
        if answer_word(message) == "forwarded" and not payload.to_head and message.body not in reports:
            faults.append("an answer that is not the origin's report")
    aspects = {"answer": ", ".join(words) or "no answer", "requests": str(len(seen))}
    aspects["garbled"] = "the origin cannot read it" if garbled else ""
    for i, message in enumerate(seen):
        aspects.update(request_aspects(message, sent, i))
    return aspects, faults


def _end_word(message, to_head):
    if not message.whole:
        return "cut"
    return "until close" if message.framing == "close" else "whole"


def observe_response(payload, client, _origin):
    """Aspects of a payload of RESPONSES: what the client received."""
    received = client.received
    interim, at, final, faults = [], 0, None, []
    try:
        while at < len(received):
            message = read_response(received, at, payload.to_head)
            at = message.end
            if int(message.start[1]) >= 200 or message.start[1] == b"101":
                final = message
                break
            interim.append(message.start[1].decode())
    except (Garbled, Incomplete) as error:
        faults.append(f"the client received: {str(error) or 'a head without an end'}")
    if client.end == "open":
        faults.append("the client's connection was never ended")
    aspects = {"interim": ", ".join(interim) or "none", "status": "no answer"}
    aspects["garbled"] = "the client cannot read it" if faults else ""
    if final is None:
        return aspects, faults
    rest = received[at:]
    if final.whole and rest and not rest.startswith(b"HTTP/1.1 408 "):
        aspects["behind the end"] = show(rest)
        faults.append(f"bytes behind the response: {rest[:60]!r}")
    status = int(final.start[1])
    if not is_of_origin(final) and status in (500, 502, 503, 504):
        aspects["status"] = "gateway error"
        return aspects, faults
    aspects["status"] = str(status)
    aspects["end"] = _end_word(final, payload.to_head)
    if aspects["end"] == "cut":
        return aspects, faults  # how much of it is passed on is a matter of buffers
    aspects["body"] = show(final.body)
    aspects["digest"] = _digest(final.body)
    if payload.to_head or status in (204, 304):
        aspects["content-length"] = ", ".join(show(v) for v in final.values(b"content-length")) or "none"
        aspects["transfer-encoding"] = ", ".join(show(v) for v in final.values(b"transfer-encoding")) or "none"
    # Date and Server are every server's own, unless the origin says them.
    own = {name for name in (b"date", b"server", b"keep-alive") if name + b":" not in payload.answer.lower()}
    aspects.update(field_aspects(final.fields, payload.answer, "field ", own))
    aspects.update(field_aspects(final.trailers, payload.answer, "trailer "))
    return aspects, faults


# ---- comparing ----

# What happened at all: where it differs, comparing the rest would only repeat that.
DECISIVE = ("answer", "requests", "garbled", "status")


def differing(mine, other):
    """The names of the aspects in which two programs differ."""
    decisive = [key for key in DECISIVE if mine.get(key) != other.get(key)]
    if decisive:
        return decisive
    keys = list(mine) + [key for key in other if key not in mine]
    return [key for key in keys if mine.get(key) != other.get(key)]


def _aspect_words(key, value, aspects, keys):
    """One aspect for a reader; None where another one says it already."""
    if key in ("answer", "status"):
        return value
    if key == "requests":
        usual = aspects["answer"].split(", ").count("forwarded")
        return None if value == str(usual) else f"{value} request{'' if value == '1' else 's'} at the origin"
    if key == "garbled":
        return value or None
    if key.endswith("digest"):
        return None if key.replace("digest", "body") in keys else f"body of {value}"
    return f"{key} {value}" if value else f"no {key}"


def describe(aspects, keys):
    """The cell that says how a program stands in these aspects."""
    words = [_aspect_words(key, aspects.get(key), aspects, keys) for key in keys]
    return "; ".join(word for word in words if word) or "not garbled"


def cells(mine, nginx, haproxy):
    """What the three did, as far as they differ, or None."""
    keys_nginx, keys_haproxy = differing(mine, nginx), differing(mine, haproxy)
    if not keys_nginx and not keys_haproxy:
        return None
    keys = keys_nginx + [key for key in keys_haproxy if key not in keys_nginx]
    return (
        describe(mine, keys),
        describe(nginx, keys_nginx) if keys_nginx else "the same",
        describe(haproxy, keys_haproxy) if keys_haproxy else "the same",
    )
