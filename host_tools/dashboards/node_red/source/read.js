// Decodes a device's message into typed, bounded values: { device, kind, leaf, said }; said is null if it was cleared.
// Anybody with a device's password may write anything: megabytes, markup, control characters, names like __proto__.
const MOST_BYTES = 65536;
const MOST_CHARACTERS = 300;
const RATE = 20; // messages per second that a device may send continuously
const BURST = 500; // messages at once, as after connecting
const MOST_DEVICES = 5000;
const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const TOPIC = /^[A-Za-z0-9_-]+\/(?:[A-Za-z0-9_-]+\/)?d\/([^/]+)\/(status|info|event|tele\/health|job|model|tele\/model)(?:\/([^/]+))?$/;
const NEEDED = "needed "; // a message without this field is useless
const FIELDS = {
    status: { online: NEEDED + "boolean" },
    info: { board: "string" },
    event: { kind: NEEDED + "string", message: "string" },
    job: {
        model: NEEDED + "name", job: NEEDED + "name", version: "number", stage: "string", status: NEEDED + "string",
        code: "string", started: "string", progress: "number",
    },
    model: {
        model: NEEDED + "name", active_version: NEEDED + "number", job: "name", job_version: "number", stage: "string",
        status: "string", code: "string", progress: "number", stale: "boolean", float_p50_ms: "number",
        p50_ms: "number", agreement: "number",
    },
    "tele/health": {
        temperature_c: "number", disk_free_bytes: "number", throttled: "boolean", undervoltage: "boolean",
    },
    "tele/model": {
        model: NEEDED + "name", inferences: "number", errors: "number", p50_ms: "number",
    },
};

function text(value) {
    return value.slice(0, MOST_CHARACTERS).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "\ufffd");
}

function typed(value, type) {
    switch (type) {
        case "string": return typeof value === "string" ? text(value) : undefined;
        case "name": return typeof value === "string" && (value === "" || NAME.test(value)) ? value : undefined;
        case "number": return Number.isFinite(value) ? value : undefined;
        default: return typeof value === type ? value : undefined;
    }
}

// The displayed fields, or null if one has another type or a needed one is missing.
function read(payload, kind, device, leaf) {
    if (payload.length > MOST_BYTES) return null;
    let whole;
    try {
        whole = JSON.parse(payload.toString("utf8"));
    } catch {
        return null;
    }
    if (whole === null || typeof whole !== "object" || whole.v !== 1 || whole.device !== device) return null;
    const said = { ts: typed(whole.ts, "string") || "" };
    for (const [field, rule] of Object.entries(FIELDS[kind])) {
        const given = whole[field] ?? null;
        const value = given === null ? null : typed(given, rule.replace(NEEDED, ""));
        if (value === undefined || (value === null && rule.startsWith(NEEDED))) return null;
        said[field] = value;
    }
    const named = kind === "job" ? said.job : said.model;
    return leaf && named !== leaf ? null : said;
}

function count(key) {
    flow.set(key, (flow.get(key) || 0) + 1);
}

// A token bucket for each device, so that no device takes all the time.
function floods(device) {
    const buckets = context.get("buckets") || {};
    const now = Date.now();
    if (!Object.hasOwn(buckets, device)) {
        const known = context.get("known") || 0;
        if (known >= MOST_DEVICES) return true;
        context.set("known", known + 1);
        buckets[device] = { tokens: BURST, at: now };
        context.set("buckets", buckets);
    }
    const bucket = buckets[device];
    bucket.tokens = Math.min(BURST, bucket.tokens + ((now - bucket.at) / 1000) * RATE);
    bucket.at = now;
    if (bucket.tokens < 1) return true;
    bucket.tokens -= 1;
    return false;
}

const [, device, kind, leaf = ""] = TOPIC.exec(msg.topic) || [];
if (device === undefined) return null; // orders and their answers, which this flow does not show
const leafless = ["status", "info", "event", "tele/health"].includes(kind);
if (!NAME.test(device) || leafless !== (leaf === "") || (leaf && !NAME.test(leaf))) {
    count("not_understood");
    return null;
}
if (floods(device)) {
    count("left_out");
    flow.set("flooding", device);
    return null;
}
const { payload } = msg;
if (payload.length === 2 && String(payload) === "{}") return null; // from edge-agent doctor, which tests its permissions
const cleared = payload.length === 0;
const said = cleared ? null : read(payload, kind, device, leaf);
if (said === null && !cleared) {
    count("not_understood");
    return null;
}
return { device, kind, leaf, said, retained: msg.retain === true };
