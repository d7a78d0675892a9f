// Runs function nodes without Node-RED, at moments that the caller says: for each line of standard input, { now, source,
// msg }, prints what the function returned. Of a payload that is a string it makes a Buffer, as the MQTT node does.
// Without a source it forgets all that they have kept.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

function store(kept) {
    return { get: (key) => kept[key], set: (key, value) => void (kept[key] = value) };
}

let flow = store({});
let contexts = {};
const functions = {};
let now = 0;

class Clock extends Date {
    static now() {
        return now;
    }
}

for await (const line of createInterface({ input: process.stdin })) {
    const step = JSON.parse(line);
    now = step.now;
    if (!step.source) {
        flow = store({});
        contexts = {};
        console.log(null);
        continue;
    }
    contexts[step.source] ??= store({});
    functions[step.source] ??= new Function("msg", "flow", "context", "Date", readFileSync(step.source, "utf8"));
    if (typeof step.msg.payload === "string") step.msg.payload = Buffer.from(step.msg.payload);
    console.log(JSON.stringify(functions[step.source](step.msg, flow, contexts[step.source], Clock) ?? null));
}
