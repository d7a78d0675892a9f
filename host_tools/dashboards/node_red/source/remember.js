// Stores each device's newest messages in the flow's context as "fleet": device → messages. Sends nothing itself.
const MOST_DEVICES = 5000;
const MOST_MODELS = 32; // of one device
const { device, kind, leaf, said, retained } = msg;
const now = Date.now();
const fleet = flow.get("fleet") || {};

// Names are checked, but one of them may still be "constructor", which every object has.
function own(object, key) {
    return Object.hasOwn(object, key) ? object[key] : undefined;
}

function known(create) {
    if (own(fleet, device) === undefined && create) {
        if (Object.keys(fleet).length >= MOST_DEVICES) return undefined;
        fleet[device] = { models: {}, seen: 0 };
    }
    return own(fleet, device);
}

function model(one, name, create) {
    if (own(one.models, name) === undefined && create) {
        if (Object.keys(one.models).length >= MOST_MODELS) return undefined;
        one.models[name] = {};
    }
    return own(one.models, name);
}

function clear(one) {
    if (kind === "status" || kind === "info") delete one[kind];
    if (kind === "model") delete one.models[leaf];
    if (kind === "job") {
        for (const [name, its] of Object.entries(one.models)) {
            if (its.report?.job !== leaf) continue;
            delete its.report;
            if (!its.state) delete one.models[name];
        }
    }
    if (!one.status && !one.info && Object.keys(one.models).length === 0) delete fleet[device];
}

function sampled(before, sample) {
    return { ...sample, at: now, every: before ? now - before.at : 0 };
}

function note(one) {
    const live = kind === "event" || kind.startsWith("tele/");
    if (live && retained) return; // agents never retain these, so this one's age is unknown
    const will = kind === "status" && !said.online; // published by the broker
    if (!will) one.seen = Math.max(one.seen, retained ? Math.min(now, Date.parse(said.ts) || 0) : now);
    switch (kind) {
        case "status":
            one.gone_at = said.online ? null : (one.gone_at ?? now);
            one.status = said;
            return;
        case "info":
        case "event":
            one[kind] = said;
            return;
        case "tele/health":
            one.health = sampled(one.health, said);
            return;
    }
    const its = model(one, said.model, kind !== "tele/model");
    if (its === undefined) return;
    if (kind === "model") its.state = said;
    if (kind === "tele/model") its.sample = sampled(its.sample, said);
    if (kind === "job") {
        const last = its.report;
        if (!last || last.job === said.job || (said.started || "") >= (last.started || "")) its.report = said;
    }
}

const one = known(said !== null && kind !== "event" && !kind.startsWith("tele/"));
if (one === undefined) return null;
if (said === null) clear(one);
else note(one);
flow.set("fleet", fleet);
return null;
