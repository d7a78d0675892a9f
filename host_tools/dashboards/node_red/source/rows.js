// The fleet as rows, one per device and model, the most urgent first. Stored as "rows" for the page.
const FRESH_MS = 300000; // minimum validity of a sample; three intervals if they are longer
const GONE_MS = 60000; // a restarted agent is back sooner
const QUIET_MS = 900000;
const now = Date.now();
const connectedAt = flow.get("connected_at") || null;

function fresh(sample) {
    return sample && now - sample.at <= Math.max(FRESH_MS, 3 * sample.every) ? sample : {};
}

// Whether a device is unexpectedly silent. One that never sent health may be configured that way.
function quiet(one) {
    if (connectedAt === null) return false;
    if (one.status && !one.status.online) return now - Math.max(one.gone_at, connectedAt) > GONE_MS;
    const { health } = one;
    return Boolean(health) && now - Math.max(health.at, connectedAt) > Math.max(QUIET_MS, 3 * health.every);
}

function number(value, digits) {
    return Number.isFinite(value) ? Number(value.toFixed(digits)) : null;
}

function newestJob({ state, report }) {
    if (state) return { job: state.job, job_version: state.job_version, ...state };
    return report ? { ...report, job_version: report.version } : {};
}

function stateOf(job) {
    if (!job.status) return "";
    if (job.status === "queued" || job.status === "in_progress") {
        return `${job.stage || job.status} ${Math.round(100 * (job.progress ?? 0))} %`;
    }
    return ["", "accepted", job.status, null].includes(job.code) ? job.status : `${job.status} ${job.code}`;
}

function rowsOf(device, one) {
    const health = fresh(one.health);
    const shared = {
        device,
        online: one.status ? one.status.online : false,
        quiet: quiet(one),
        board: one.info?.board ?? "",
        temperature_c: number(health.temperature_c, 1),
        throttled: health.throttled === true,
        undervoltage: health.undervoltage === true,
        disk_free_gb: number(health.disk_free_bytes / 1e9, 1),
        event: one.event ? `${one.event.kind} ${one.event.message || ""}`.trim() : "",
        seen: one.seen ? new Date(one.seen).toISOString().slice(0, 19) + "Z" : "",
    };
    const models = Object.entries(one.models);
    return (models.length ? models : [["", {}]]).map(([model, its]) => {
        const sample = fresh(its.sample);
        const job = newestJob(its);
        return {
            ...shared,
            model,
            version: its.state?.active_version || null,
            job: job.job ?? "",
            job_version: job.job_version ?? null,
            status: job.status ?? "",
            code: job.code ?? "",
            state: stateOf(job),
            stale: its.state?.stale === true,
            judged_ms: number(its.state?.p50_ms, 3),
            float_ms: number(its.state?.float_p50_ms, 3),
            now_ms: number(sample.p50_ms, 3),
            inferences: sample.inferences ?? null,
            errors: sample.errors ?? null,
            agreement: number(its.state?.agreement, 4),
        };
    });
}

function concern(row) {
    if (row.status === "failed" || row.quiet) return 0;
    if (row.status === "rejected" || row.throttled || row.undervoltage || row.stale) return 1;
    return row.online ? 2 : 3;
}

const rows = Object.entries(flow.get("fleet") || {}).flatMap(([device, one]) => rowsOf(device, one));
for (const row of rows) row.look = ["bad", "warn", "", "off"][concern(row)];
rows.sort((a, b) => concern(a) - concern(b) || (a.device < b.device ? -1 : a.device > b.device ? 1 : 0));
const devices = new Map(rows.map((row) => [row.device, row.online]));
flow.set("rows", {
    rows,
    devices: devices.size,
    online: [...devices.values()].filter(Boolean).length,
    connected: connectedAt !== null,
    not_understood: flow.get("not_understood") || 0,
    left_out: flow.get("left_out") || 0,
    flooding: flow.get("flooding") || "",
    at: new Date(now).toISOString().slice(0, 19) + "Z",
});
return { topic: "edge-agent", payload: rows.map((row) => ({ ...row })) }; // copies, as receivers may change them
