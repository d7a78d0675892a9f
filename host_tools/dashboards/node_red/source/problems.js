// What is newly wrong, as one message a round: topic (a subject), payload (a line each), alerts (the same as objects).
// Each problem is told once; again when it comes back after ten minutes without it. While the broker is away: nothing.
const AGAIN_MS = 600000;
const MOST_LINES = 50;
const now = Date.now();
if (!flow.get("connected_at")) return null;

// Lines go to chats and mails, where "<!here>" or "@all" means something: only checked names and codes are in them.
function code(row) {
    return /^[a-z0-9_]{1,64}$/.test(row.code) ? row.code : "no code";
}

function problemsOf(row) {
    const { device, model } = row;
    const found = [];
    const add = (kind, key, line) => found.push({ key: `${kind} ${device} ${key}`, kind, device, line });
    if (row.quiet) add("quiet", "", `${device} has gone quiet`);
    if (row.throttled) add("throttled", "", `${device} is slowed down: too hot, or too little power`);
    if (row.undervoltage) add("undervoltage", "", `the power supply of ${device} gives too little`);
    if (row.status === "rejected" || row.status === "failed") {
        const which = `version ${row.job_version ?? "?"} of ${model}`;
        add(row.status, `${model} ${row.job || row.job_version}`, `${which} ${row.status} on ${device}: ${code(row)}`);
    }
    return found;
}

const standing = new Map(msg.payload.flatMap(problemsOf).map((problem) => [problem.key, problem]));
const told = context.get("told") || {}; // key → since when it is over; 0: it stands
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
