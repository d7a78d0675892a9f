// New problems, as one message per round: topic (a subject), payload (a line for each), alerts (the same as objects).
// Each problem is reported once, and again if it returns after ten minutes. While the broker is away, nothing is sent.
const AGAIN_MS = 600000;
const MOST_LINES = 50;
const now = Date.now();
if (!flow.get("connected_at")) return null;

// Lines go to chats and mails, where "<!here>" or "@all" has a meaning, so they contain only checked names and codes.
function code(row) {
    return /^[a-z0-9_]{1,64}$/.test(row.code) ? row.code : "no code";
}

function problemsOf(row) {
    const { device, model } = row;
    const found = [];
    const add = (kind, key, line) => found.push({ key: `${kind} ${device} ${key}`, kind, device, line });
    if (row.quiet) add("quiet", "", `${device} has gone quiet`);
    if (row.throttled) add("throttled", "", `${device} is slowed down: too hot, or too little power`);
    if (row.undervoltage) add("undervoltage", "", `the supply voltage of ${device} is too low`);
    if (row.status === "rejected" || row.status === "failed") {
        const which = `version ${row.job_version ?? "?"} of ${model}`;
        add(row.status, `${model} ${row.job || row.job_version}`, `${which} ${row.status} on ${device}: ${code(row)}`);
    }
    return found;
}

const standing = new Map(msg.payload.flatMap(problemsOf).map((problem) => [problem.key, problem]));
const told = context.get("told") || {}; // key → end of the problem; 0: it persists
for (const key of Object.keys(told)) {
    if (standing.has(key)) told[key] = 0;
    else if (!told[key]) told[key] = now;
    else if (now - told[key] > AGAIN_MS) delete told[key];
}
const fresh = [...standing.values()].filter(({ key }) => !Object.hasOwn(told, key));
for (const { key } of fresh) told[key] = 0;
context.set("told", told);
if (fresh.length === 0) return null;
const lines = fresh.slice(0, MOST_LINES).map(({ line }) => line);
if (fresh.length > MOST_LINES) lines.push(`and ${fresh.length - MOST_LINES} more`);
return {
    topic: fresh.length === 1 ? fresh[0].line : `edge-agent: ${fresh.length} problems`,
    payload: lines.join("\n"),
    alerts: fresh.map(({ kind, device, line }) => ({ kind, device, line })),
};
