// Since when this Node-RED is connected to the broker, as "connected_at"; null: it is not, and nobody can be heard.
const connected = msg.status.fill === "green";
if (connected !== Boolean(flow.get("connected_at"))) flow.set("connected_at", connected ? Date.now() : null);
return null;
