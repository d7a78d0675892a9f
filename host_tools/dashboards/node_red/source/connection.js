// Stores the time of this Node-RED's connection to the broker as "connected_at"; null while it is not connected.
const connected = msg.status.fill === "green";
if (connected !== Boolean(flow.get("connected_at"))) flow.set("connected_at", connected ? Date.now() : null);
return null;
